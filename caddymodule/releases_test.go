package caddymodule_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/mod/semver"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// testdata/releases has one file of configs for each release (golang.org/x/tools/txtar):
// those of the documentation and of testdata at that time, each as a Caddyfile and as the
// JSON config that the release adapted it to. A file is never changed after its release. The
// folders in it:
//
//	load/   the config can be provisioned
//	adapt/  it can be adapted; provisioning requires files or other hosts
const releasesDir = "../testdata/releases"

// newRelease is written before a release:
//
//	go test ./caddymodule -run TestConfigsOfReleases -release v0.1.0
var newRelease = flag.String("release", "", "write the configs of this release to testdata/releases")

// TestConfigsOfReleases checks that each config of each release still loads, as a Caddyfile
// and as JSON.
func TestConfigsOfReleases(t *testing.T) {
	humaConfig := strings.NewReplacer("/etc/huma/huma-config.json", filepath.ToSlash(offlineConfig(t)))
	if *newRelease != "" {
		writeRelease(t, *newRelease, humaConfig)
	}
	files, err := filepath.Glob(filepath.Join(releasesDir, "*.txtar"))
	if err != nil || files == nil {
		t.Fatalf("no releases in %s: %v", releasesDir, err)
	}
	for _, file := range files {
		archive := testutil.Must(txtar.ParseFile(file))
		if len(archive.Files) < 200 {
			t.Errorf("%s has only %d configs", file, len(archive.Files))
		}
		for i, f := range archive.Files {
			if testutil.Race && i%10 > 1 {
				continue // no concurrency is tested here
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+f.Name, func(t *testing.T) {
				config := []byte(humaConfig.Replace(string(f.Data)))
				if filepath.Ext(f.Name) != ".json" {
					var err error
					if config, _, err = adaptText(string(config)); err != nil {
						t.Fatal(err)
					}
				}
				var err error
				if strings.HasPrefix(f.Name, "load/") {
					err = validateJSON(t, config)
				} else {
					err = decodeConfig(t, config)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// decodeConfig decodes the token directives in a config strictly.
func decodeConfig(t *testing.T, config []byte) error {
	t.Helper()
	handlers := tokenHandlers(t, config)
	if len(handlers) == 0 {
		return fmt.Errorf("no token directive in %s", config)
	}
	for _, handler := range handlers {
		into := directiveNamed(t, handler["handler"]).new()
		delete(handler, "handler")
		if err := caddy.StrictUnmarshalJSON(mustJSON(t, handler), into); err != nil {
			return err
		}
	}
	return nil
}

// writeRelease writes the configs of a release.
func writeRelease(t *testing.T, version string, humaConfig *strings.Replacer) {
	t.Helper()
	if !semver.IsValid(version) {
		t.Fatalf("%q is not a version", version)
	}
	if tag, err := exec.Command("git", "tag", "--list", version).Output(); err != nil || len(tag) > 0 {
		t.Fatalf("%s is released already (%v)", version, err)
	}
	texts := caddyfiles(t)
	for _, g := range goldens(t) {
		texts[g.name] = g.input
	}
	archive := &txtar.Archive{Comment: []byte("Configs of caddy-huma " + version + ". Do not change them after the release.\n\n")}
	for name, text := range texts {
		config, _, err := adaptText(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		folder := "load/"
		if validateJSON(t, []byte(humaConfig.Replace(string(config)))) != nil {
			folder = "adapt/"
		}
		name = folder + strings.NewReplacer(".md:", "-", ".caddyfile", "").Replace(name)
		archive.Files = append(archive.Files,
			txtar.File{Name: name + ".caddyfile", Data: []byte(text)},
			txtar.File{Name: name + ".json", Data: append(config, '\n')})
	}
	slices.SortFunc(archive.Files, func(a, b txtar.File) int { return strings.Compare(a.Name, b.Name) })
	must(t, os.WriteFile(filepath.Join(releasesDir, version+".txtar"), txtar.Format(archive), 0o600))
}
