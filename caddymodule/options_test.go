package caddymodule_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestSignatures checks that the plugin and the sandbox, which share no code, agree on
// every signature scheme, and that the sandbox rejects other signatures.
func TestSignatures(t *testing.T) {
	for _, c := range []struct {
		name    string
		options string
		sandbox sandbox.Signature
	}{
		{"default", "", sandbox.Signature{}},
		{"sha256", "signature hmac-sha256", sandbox.Signature{}},
		{"sha512", "signature hmac-sha512", sandbox.Signature{Algorithm: "hmac-sha512"}},
		{"base64", "signature hmac-sha256 {\nencoding base64\n}", sandbox.Signature{Encoding: "base64"}},
		{"base64url", "signature hmac-sha512 {\nencoding base64url\n}", sandbox.Signature{Algorithm: "hmac-sha512", Encoding: "base64url"}},
		{"header", "signature hmac-sha256 {\nheader_name X-Sig\n}", sandbox.Signature{HeaderName: "X-Sig"}},
		{"payload", "signature hmac-sha256 {\npayload {sig.deployment_id}|{sig.method}|{sig.path}|{sig.body}\n}", sandbox.Signature{Payload: "{sig.deployment_id}|{sig.method}|{sig.path}|{sig.body}"}},
		{"with the time", "header_up X-Timestamp {sig.timestamp}\nsignature hmac-sha256 {\npayload {sig.timestamp}.{sig.body}\n}", sandbox.Signature{Payload: "{sig.timestamp}.{sig.body}"}},
		{"hawk", "signature hawk {\nid sandbox\n}", sandbox.Signature{Algorithm: "hawk"}},
		{"off", "signature off", sandbox.Signature{Algorithm: "off"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{Signature: c.sandbox})
			serve(t, simpleSite(huma, c.options)).request("GET", iosPath, as("a@x.example")).tokens(t)

			strict := newHuma(t, sandbox.Config{Signature: sandbox.Signature{Payload: "other {sig.body}"}})
			serve(t, simpleSite(strict, c.options)).request("GET", iosPath, as("a@x.example")).problem(t, http.StatusBadGateway, signatureErrorCode(c.options))
		})
	}
}

// signatureErrorCode returns the error code for a call with a wrong signature. Without the header
// signature, the sandbox rejects the request as invalid.
func signatureErrorCode(options string) string {
	if strings.Contains(options, "signature off") || strings.Contains(options, "header_name") {
		return "upstream_rejected"
	}
	return "upstream_config"
}

func TestRegistrationOptions(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	t.Setenv("TEST_ACTIVATION", "activate-me")
	s := serve(t, simpleSite(huma, `registration {
		sign_consent on
		timezone Europe/Berlin
		language de-DE
		activation_code {env.TEST_ACTIVATION}
		attribute gender female
	}`))
	s.request("GET", iosPath, as("A@x.example"), header("X-Test-Name", "Ada King Lovelace")).tokens(t)
	users := huma.Users()
	if len(users) != 1 || users[0].Email != "A@x.example" || !users[0].Consented {
		t.Fatalf("users %+v", users)
	}
	want := map[string]any{
		"clientId": "c1", "projectId": "p1", "ipAddress": "127.0.0.1", "email": "A@x.example",
		"timezone": "Europe/Berlin", "language": "de-DE",
		"validationData": map[string]any{"activationCode": "activate-me"},
		"userAttributes": map[string]any{"givenName": "Ada King", "familyName": "Lovelace", "gender": "female"},
	}
	if got := fmt.Sprint(users[0].Profile); got != fmt.Sprint(want) {
		t.Errorf("signed up with %s\nwant %s", got, fmt.Sprint(want))
	}
	s.noSecretsInLog("activate-me", "Lovelace", "A@x.example")
}

// TestConsentThatFails checks that a failed consent call is logged, and that the request
// succeeds.
func TestConsentThatFails(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	huma.SetFaults([]sandbox.Fault{{Op: "consent", Status: 500}})
	s := serve(t, simpleSite(huma, "registration {\nsign_consent on\n}"))
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	if !strings.Contains(s.log(), "cannot sign the consent") {
		t.Error("the error is not logged")
	}
}

// TestClientIPIsCaddys checks that Huma gets the client IP that Caddy has determined, and
// not one that the client has sent.
func TestClientIPIsCaddys(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(huma, ""))
	s.request("GET", iosPath, as("a@x.example"), header("X-Forwarded-For", "203.0.113.9")).tokens(t)
	if ip := huma.Users()[0].Profile["ipAddress"]; ip != "127.0.0.1" {
		t.Errorf("ipAddress %v", ip)
	}
}

func TestConfigFile(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	for name, text := range map[string]string{
		"flat":   `{"apiUrl":"URL","projectId":"p1","deploymentId":"d1","iosClientId":"c1","webClientId":"c3","secret":"sandbox-secret","more":[1,2]}`,
		"nested": `{"api":{"base-url":"URL"},"project":{"project_id":"p1"},"deployment_id":"d1","clients":{"ios":{"clientId":"c1"},"android":"c2"},"credentials":{"signing_secret":"sandbox-secret"}}`,
		"one id": "\ufeff" + `{"url":"URL/","projectId":"p1","deploymentId":"d1","clientId":"c1","key":"sandbox-secret"}`,
		// Huma's own response about an organization
		"organization": `{"apiUrl":"URL","projectId":"p1","deploymentId":"d1","clientId":"c1",
			"secret":{"value":"sandbox-secret","organizationId":"o1","createDateTime":"2026-01-01T00:00:00Z"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "huma-config.json")
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "URL", huma.URL)), 0o600); err != nil {
				t.Fatal(err)
			}
			config := "SITE {\nhuma_token {\nconfig_file " + path + "\nidentity {\nemail X-Test-User\n}\ntrust proxies 127.0.0.1\n}\n}"
			s := serve(t, config)
			s.request("GET", iosPath, as("a@x.example")).tokens(t)
			s.noSecretsInLog("sandbox-secret")

			// The Caddyfile takes precedence, also over a file with an ambiguous value.
			unclear := filepath.Join(t.TempDir(), "unclear.json")
			if err := os.WriteFile(unclear, []byte(`{"a":{"key":"x","url":"https://a.example"},"b":{"key":"y","url":"https://b.example"},"projectId":"p1","deploymentId":"d1","clientId":"c1"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			decided := strings.Replace(config, "config_file "+path, "config_file "+unclear+"\napi "+huma.URL+"\nsecret sandbox-secret", 1)
			serve(t, decided).request("GET", iosPath, as("a@x.example")).tokens(t)

			wrong := strings.Replace(config, "config_file", "project_id p2\nconfig_file", 1)
			serve(t, wrong).request("GET", iosPath, as("a@x.example")).problem(t, http.StatusBadGateway, "upstream_config")
		})
	}
}

func TestAPIWithAPath(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Prefix: "/huma/eu"})
	config := strings.Replace(simpleSite(huma, ""), "api "+huma.URL, "api "+huma.URL+"/huma/eu/", 1)
	serve(t, config).request("GET", iosPath, as("a@x.example")).tokens(t)
}

// TestTLS checks that the client certificate is sent. TestH15_CertificatesOfTheService is
// about the service's certificate.
func TestTLS(t *testing.T) {
	fake := sandbox.New(sandbox.Config{})
	srv := testutil.NewServer(t, fake)
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	fakeHuma := &fakeHuma{Server: fake, URL: srv.URL}

	ca, key := testutil.WriteCertificate(t.TempDir(), &srv.TLS.Certificates[0])
	var shown int
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = len(r.TLS.PeerCertificates)
		fake.ServeHTTP(w, r)
	})
	s := serve(t, simpleSite(fakeHuma, "tls {\nca "+ca+"\nclient_certificate "+ca+" "+key+"\n}"))
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	if shown != 1 {
		t.Errorf("%d certificates were sent to the service", shown)
	}
}

// TestConnectionsAreReused checks that sequential calls share one connection.
func TestConnectionsAreReused(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		config := p.site(fake, "")
		s := serve(t, config)
		for i := range 50 {
			user := fmt.Sprintf("u%d@x.example", i)
			p.requireBothCalls(t, fake, user)
			s.request("GET", p.target(), as(user)).token(t, p)
			if i == 25 {
				if err := s.load(config + "\n# again"); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.wantCalls(t, fake, 50, 50)
		if n := fake.Calls().Connections; n != 1 {
			t.Errorf("%d connections for 100 calls", n)
		}
	})
}

// TestC08_LifetimesShrink checks that the lifetimes in a cache hit are the remaining
// ones.
func TestC08_LifetimesShrink(t *testing.T) {
	forBothParallel(t, func(t *testing.T, p service, serve func(text string) *site) {
		fake := newHuma(t, sandbox.Config{})
		s := serve(p.site(fake, ""))
		token, first := p.parse(t, s.request("GET", p.target(), as("a@x.example")))
		life := map[string]int64{"huma": 900, "human_api": 3600}[p.name]
		if first[0] < life-5 || first[0] > life || p.name == "huma" && first[1] != first[2] {
			t.Errorf("lifetimes %d", first)
		}
		time.Sleep(1100 * time.Millisecond)
		again, second := p.parse(t, s.request("GET", p.target(), as("a@x.example")))
		if again != token {
			t.Error("the token was not cached")
		}
		for i := range first {
			if second[i] >= first[i] {
				t.Errorf("lifetimes %d, and then %d", first, second)
			}
		}
	})
}

// TestHumanAPIOptions checks that the service receives the options of human_api_token.
func TestHumanAPIOptions(t *testing.T) {
	t.Setenv("HUMA_TEST_SCOPE", "c:read")
	for _, c := range []struct {
		name    string
		sandbox sandbox.Config
		from    string
		to      string
		scopes  []string
	}{
		{"no scopes", sandbox.Config{}, "", "", nil},
		{"scopes", sandbox.Config{}, "client_id hapi1", "client_id hapi1\nextra_scopes b:read \"a b\" {env.HUMA_TEST_SCOPE}", []string{"b:read", "a b", "c:read"}},
		{"another application", sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi2": "sandbox-secret"}}}, "hapi1", "hapi2", nil},
		{"a secret with braces", sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "a{b}c"}}}, "sandbox-secret", `a\{b}c`, nil},
		{"an api with a path", sandbox.Config{Prefix: "/human/eu"}, "URL", "URL/human/eu", nil},
		{"and a slash", sandbox.Config{Prefix: "/human/eu"}, "URL", "URL/human/eu/", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			huma := newHuma(t, c.sandbox)
			url := strings.NewReplacer("URL", huma.URL)
			text := strings.Replace(humanAPIToken.site(huma, ""), url.Replace(c.from), url.Replace(c.to), 1)
			humanAPIToken.token(t, serve(t, text).request("GET", humanAPIToken.path, as("u-1")))
			calls := huma.Calls().Calls
			if len(calls) != 1 || calls[0].ClientUserID != "u-1" || !slices.Equal(calls[0].ExtraScopes, c.scopes) {
				t.Errorf("calls %+v, want one with the scopes %q", calls, c.scopes)
			}
		})
	}
}
