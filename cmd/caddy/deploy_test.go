package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestDeployedCaddyfiles checks that the Caddyfiles in deploy are formatted and valid, and
// that caddy huma check has nothing to report about them. The files that they name are those
// which docs/kubernetes.md and docs/systemd.md describe, and the secrets of the compose files,
// which .ci/e2e compose runs.
func TestDeployedCaddyfiles(t *testing.T) {
	files := t.TempDir()
	for name, text := range map[string]string{
		"secret": "sandbox-secret", "redis-password": "p", "redis-key": base64.StdEncoding.EncodeToString(make([]byte, 32)), "huma-secret": "sandbox-secret",
	} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secrets, err := filepath.Abs("../../deploy/compose/secrets")
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.NewReplacer("/etc/huma/", files+"/", "/run/credentials/caddy.service/", files+"/", "/run/secrets", secrets)
	env := []string{"HUMA_API=https://huma.example.com", "HUMA_PROJECT_ID=p1", "HUMA_DEPLOYMENT_ID=d1", "HUMA_CLIENT_ID_IOS=c1", "HUMA_CLIENT_ID_ANDROID=c2"}
	for _, name := range []string{"kubernetes", "systemd", "compose/front", "compose/replica"} {
		t.Run(name, func(t *testing.T) {
			text := string(testutil.File(t, "../../deploy/"+name+"/Caddyfile"))
			if string(caddyfile.Format([]byte(text))) != text {
				t.Error("not formatted with caddy fmt")
			}
			path := filepath.Join(t.TempDir(), "Caddyfile")
			run := func(text string, args ...string) (code int, out string) {
				if err := os.WriteFile(path, []byte(paths.Replace(text)), 0o600); err != nil {
					t.Fatal(err)
				}
				code, out, log := output(t, caddyCommand(t, env, append(args, "--config", path)...))
				return code, out + log
			}
			if code, out := run(text, "validate"); code != 0 || strings.Contains(out, `"warn"`) || strings.Contains(out, "WARN") {
				t.Errorf("caddy validate: %d %s", code, out)
			}
			if name == "compose/front" { // the load balancer has no directive of the plugin
				return
			}
			if code, out := run(text, "huma", "check", "--offline"); code != 0 || !strings.Contains(out, "0 problems, 0 warnings") {
				t.Errorf("caddy huma check: %d %s", code, out)
			}
			// A file that does not exist is a problem.
			if code, out := run(strings.Replace(text, "secret {file.", "secret {file./missing", 1), "huma", "check", "--offline"); code != 1 {
				t.Errorf("caddy huma check without the secret: %d %s", code, out)
			}
		})
	}
}
