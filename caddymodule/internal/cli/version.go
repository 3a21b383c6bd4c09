package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/internal/command"
)

// modulePath is the path of this Go module.
const modulePath = "github.com/caddy-huma/caddy-huma"

// optionalModules lists the Caddy modules that are in a binary only if it was built with
// their package.
var optionalModules = []string{"caddy_huma.stores.redis"}

// versionDocument is the output of caddy huma version.
type versionDocument struct {
	Version  string          `json:"version"`            // of this module; "(devel)" if the build does not record one
	Revision string          `json:"revision,omitempty"` // the commit, if Caddy was built in a clone of this module
	Modified bool            `json:"modified,omitempty"` // the clone had uncommitted changes
	Caddy    string          `json:"caddy"`
	Go       string          `json:"go"`
	Platform string          `json:"platform"`
	Modules  map[string]bool `json:"optional_modules"` // by ID; true if the binary contains the module
}

// versionOf returns the versions in a binary's build information, which may be nil.
func versionOf(info *debug.BuildInfo) versionDocument {
	v := versionDocument{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Modules: make(map[string]bool)}
	v.Caddy, _ = caddy.Version()
	for _, id := range optionalModules {
		_, err := caddy.GetModule(id)
		v.Modules[id] = err == nil
	}
	if info == nil {
		return v
	}
	if info.Main.Path == modulePath {
		v.Version = cmp.Or(info.Main.Version, v.Version)
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
		return v
	}
	if n := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == modulePath }); n >= 0 {
		m := info.Deps[n]
		if m.Replace != nil { // a directory has no version
			m = m.Replace
		}
		v.Version = cmp.Or(m.Version, v.Version)
	}
	return v
}

// versionCommand returns the command caddy huma version.
func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version [--json]",
		Short: "Prints the versions of caddy-huma, Caddy and Go",
		Long: `
Prints the version of this plugin, of Caddy and of Go, and which optional modules the
binary contains. A plugin that was built from a directory instead of a published
version has the version (devel).

Exit codes:
  0  printed
  1  cannot write the output
  2  wrong usage`,
	}
	asJSON := cmd.Flags().Bool("json", false, "Print JSON")
	command.Runs(cmd, func(_ context.Context, out io.Writer) (int, error) {
		info, _ := debug.ReadBuildInfo()
		v := versionOf(info)
		write := v.write
		if *asJSON {
			write = func(w io.Writer) error { return command.WriteJSON(w, v) }
		}
		if err := write(out); err != nil {
			return command.Problem, err
		}
		return command.OK, nil
	})
	return cmd
}

// write prints the versions in lines.
func (v versionDocument) write(w io.Writer) error {
	revision := v.Revision
	if v.Modified {
		revision += ", modified"
	}
	if revision != "" {
		revision = " (" + revision + ")"
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "caddy-huma\t%s%s\nCaddy\t%s\nGo\t%s %s\n", v.Version, revision, v.Caddy, strings.TrimPrefix(v.Go, "go"), v.Platform)
	for _, id := range optionalModules {
		included := "not included"
		if v.Modules[id] {
			included = "included"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\n", id, included)
	}
	return t.Flush()
}
