// Package scaffold implements the command caddy huma init, which prints a site with the
// directive huma_token for a preset.
package scaffold

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/command"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Command returns the command caddy huma init.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init --preset <name> [--config-file <file>] [--host <address>] [--auth-server <url>] [--app <upstream>]",
		Short: "Prints a site with huma_token for a preset",
		Long: `
Prints a site block of a Caddyfile with huma_token for a preset of the option
identity. The command reads and changes no files.

Review each line with a comment that begins with "check". Values that the command does
not know are environment variables, such as {$HUMA_AUDIENCE}: set them in the
environment of Caddy, or replace them.

Exit codes:
  0  printed
  1  cannot write the output
  2  wrong usage, or unknown preset`,
		Example: `  caddy huma init --preset authelia --auth-server http://authelia:9091 --host app.clinic.example --app app:3000
  caddy huma init --preset firebase --config-file /etc/caddy/huma-config.json >> Caddyfile`,
	}
	var s Site
	f := cmd.Flags()
	f.StringVar(&s.Preset, "preset", "", "Preset of the option identity")
	f.StringVar(&s.ConfigFile, "config-file", "huma-config.json", "Path of a huma-config.json, like the option config_file")
	f.StringVar(&s.Host, "host", "localhost", "Address of the site")
	f.StringVar(&s.AuthServer, "auth-server", "", "URL of the auth server, like the option auth_server")
	f.StringVar(&s.App, "app", "", "Upstream of the application, like the argument of reverse_proxy")
	command.Runs(cmd, func(_ context.Context, out io.Writer) (int, error) {
		if err := s.validate(); err != nil {
			return command.Usage, err
		}
		if _, err := io.WriteString(out, s.Caddyfile()); err != nil {
			return command.Problem, err
		}
		return command.OK, nil
	})
	return cmd
}

// validate returns a usage error if a value cannot be written into a Caddyfile, or if the
// values do not fit together.
func (s *Site) validate() error {
	preset, known := presets.Find(s.Preset)
	switch {
	case s.Preset == "":
		return command.UsageError("--preset is required; `caddy huma presets` lists all presets")
	case !known:
		return command.UsageError("--preset: unknown preset %q%s; `caddy huma presets` lists all presets", s.Preset, suggest.DidYouMean(s.Preset, presets.Names()))
	case s.AuthServer != "" && preset.AuthPath == "":
		return command.UsageError("--auth-server: the preset %s is not that of an auth server; these are: %s", s.Preset, strings.Join(authServers(), ", "))
	}
	for _, f := range []struct{ flag, value string }{{"host", s.Host}, {"config-file", s.ConfigFile}} {
		if f.value == "" {
			return command.UsageError("--%s must not be empty", f.flag)
		}
	}
	for _, f := range []struct{ flag, value string }{{"host", s.Host}, {"auth-server", s.AuthServer}, {"app", s.App}} {
		if strings.ContainsAny(f.value, " \t\r\n\"`{}#") {
			return command.UsageError("--%s must not contain blanks, quotes, braces or #", f.flag)
		}
	}
	if strings.ContainsAny(s.ConfigFile, "\r\n\"`{}") {
		return command.UsageError("--config-file must not contain line breaks, quotes or braces")
	}
	return nil
}

// authServers returns the names of the presets for which --auth-server is valid.
func authServers() (names []string) {
	for _, p := range presets.All() {
		if p.AuthPath != "" {
			names = append(names, p.Name)
		}
	}
	return names
}
