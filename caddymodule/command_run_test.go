package caddymodule_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// ran is the result of a command: its output, error and exit code.
type ran struct {
	t    *testing.T
	out  string
	log  string // standard error
	err  error
	code int
}

// run runs a subcommand of caddy huma.
func run(t *testing.T, cmd *cobra.Command, args ...string) *ran {
	t.Helper()
	var out, log bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	r := &ran{t: t, out: out.String(), log: log.String(), err: err}
	if err != nil {
		// Caddy's type of an error with an exit code is not exported. For any other
		// error, its main function exits with 1.
		r.code = 1
		if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct && v.FieldByName("ExitCode").IsValid() {
			r.code = int(v.FieldByName("ExitCode").Int())
		}
	}
	return r
}

// ends checks the exit code, and that the output contains the parts in this order.
func (r *ran) ends(code int, parts ...string) *ran {
	r.t.Helper()
	if r.code != code {
		r.t.Errorf("exit code %d, want %d: %s\n%s", r.code, code, r.log, r.out)
	}
	rest := r.out
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			r.t.Fatalf("without %q, or not in this order:\n%s", part, r.out)
		}
		rest = after
	}
	return r
}

// hides checks that neither the output nor the error contains any of the texts.
func (r *ran) hides(texts ...string) *ran {
	r.t.Helper()
	for _, text := range texts {
		if text != "" && strings.Contains(r.out+r.log, text) {
			r.t.Errorf("%q is printed: %s\n%s", text, r.log, r.out)
		}
	}
	return r
}

// fails checks the exit code of a command, and that it has printed an error that contains
// part to standard error.
func (r *ran) fails(code int, part string) {
	r.t.Helper()
	if r.code != code || !strings.HasPrefix(r.log, "Error: ") || !strings.Contains(r.log, part) {
		r.t.Errorf("exit code %d, want %d with %q: %s\n%s", r.code, code, part, r.log, r.out)
	}
}

// json decodes the output.
func (r *ran) json(v any) {
	r.t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.out))
	if err := dec.Decode(v); err != nil {
		r.t.Fatalf("%v: %s", err, r.out)
	}
}

// caddyfileOf writes a config with one site.
func caddyfileOf(t *testing.T, blocks ...string) string {
	t.Helper()
	return writeFile(t, "Caddyfile", "http://localhost:8080 {\n"+strings.Join(blocks, "\n")+"\n"+basicAuthBlock+"}\n")
}

// basicAuthBlock is the authentication in front of the blocks of caddyfileOf.
const basicAuthBlock = "basic_auth {\nalice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"

// humaBlock returns a huma_token block for the sandbox with further options.
func humaBlock(h *fakeHuma, more ...string) string {
	return "huma_token {\n" + h.credentials() + "\nidentity basic_auth\n" + strings.Join(more, "\n") + "\n}"
}

// humanBlock returns a human_api_token block for the sandbox with further options.
func humanBlock(h *fakeHuma, more ...string) string {
	return "human_api_token {\n" + humanAPIToken.credentials(h) + "identity basic_auth\n" + strings.Join(more, "\n") + "\n}"
}

// humaConfig writes a huma-config.json for the sandbox.
func humaConfig(t *testing.T, h *fakeHuma) string {
	t.Helper()
	return writeFile(t, "huma-config.json", `{"apiUrl":"`+h.URL+`","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1","android":"c2"},"secret":"sandbox-secret"}`)
}

// servedBy returns a sandbox whose responses change modifies.
func servedBy(t *testing.T, cfg sandbox.Config, change func(http.ResponseWriter)) *fakeHuma {
	t.Helper()
	s := sandbox.New(cfg)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change(w)
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return &fakeHuma{Server: s, URL: srv.URL}
}

// newTLSService returns a sandbox that is served with TLS; see serveTLS.
func newTLSService(t *testing.T, cfg sandbox.Config, template *x509.Certificate, signer *testutil.Authority, edit ...func(*tls.Config)) *fakeHuma {
	t.Helper()
	s := sandbox.New(cfg)
	return &fakeHuma{Server: s, URL: serveTLS(t, s.ServeHTTP, template, signer, edit...)}
}

// serveTLS serves handler with a certificate, which is self-signed if signer is nil. If
// template is nil, it serves plain HTTP. It returns an https URL in any case.
func serveTLS(t *testing.T, handler http.HandlerFunc, template *x509.Certificate, signer *testutil.Authority, edit ...func(*tls.Config)) string {
	t.Helper()
	srv := testutil.NewServer(t, handler)
	switch {
	case template == nil:
		srv.Start()
	case signer == nil:
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{*testutil.SelfSigned(template)}}
	default:
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{*signer.Issue(template)}}
	}
	if srv.TLS != nil {
		for _, e := range edit {
			e(srv.TLS)
		}
		srv.StartTLS()
	}
	return "https://" + srv.Listener.Addr().String()
}
