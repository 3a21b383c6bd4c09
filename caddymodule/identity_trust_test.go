package caddymodule_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// layer plays an authentication layer: the server that forward_auth asks, or a
// proxy in front. What it says of a user does not depend on the request.
type layer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	header http.Header
}

// newLayer starts an auth server that knows nobody yet and lets everybody in.
func newLayer(t testing.TB) *layer {
	l := &layer{status: 200}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status, said := l.answer()
		maps.Copy(w.Header(), said)
		w.WriteHeader(status)
	}))
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	return l
}

// says sets what the layer says of whoever asks.
func (l *layer) says(said http.Header) { l.saysWith(200, said) }

func (l *layer) saysWith(status int, said http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status, l.header = status, said
}

func (l *layer) answer() (int, http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status, l.header
}

// hostport is the server's address without its scheme.
func (l *layer) hostport() string { return strings.TrimPrefix(l.URL, "http://") }

// proxyTo starts the layer as a proxy in front of a site, as it has to be for
// `trust proxies`: it takes its own headers away from the client, and sets
// what it has to say.
func (l *layer) proxyTo(t testing.TB, site string, own ...string) *httptest.Server {
	target, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	transport := new(http.Transport)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			for _, name := range own {
				r.Out.Header.Del(name)
			}
			_, said := l.answer()
			for name, values := range said {
				r.Out.Header[name] = append(r.Out.Header[name], values...)
			}
		},
	})
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
		transport.CloseIdleConnections()
	})
	return proxy
}

// forwardAuth is a site behind the layer as auth server.
func forwardAuth(l *layer, more, identity string) string {
	return forwardAuthTrust(l, more, identity, "trust forward_auth")
}

func forwardAuthTrust(l *layer, more, identity, trust string) string {
	return `SITE {
		forward_auth ` + l.URL + ` {
			uri /verify
			` + more + `
		}
		huma_token {
			HUMA
			` + identity + `
			` + trust + `
		}
		respond "the application, for {header.Remote-Email}" 404
	}`
}

func TestI04_AnswerWithoutAddress(t *testing.T) {
	l := newLayer(t)
	for name, c := range map[string]struct{ more, trust string }{
		"alone":                      {"", "trust forward_auth"},
		"copied":                     {"copy_headers Remote-User Remote-Email Remote-Name", "trust forward_auth"},
		"copied under another name":  {"copy_headers Remote-Email>X-Email", "trust forward_auth"},
		"with the upstream":          {"copy_headers Remote-Email", "trust forward_auth " + l.hostport()},
		"copied, with trust proxies": {"copy_headers Remote-Email", "trust proxies 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, forwardAuthTrust(l, c.more, "identity authelia", c.trust))
			client := header("Remote-Email", "mallory@evil.example")
			for _, said := range []http.Header{nil, {"Remote-User": {"alice"}}, {"Remote-Email": {""}}, {"Remote-Email": {" "}}, {"Remote_Email": {"a@x.example"}}} {
				for _, status := range []int{200, 202, 204} {
					l.saysWith(status, said)
					d.refused(t, 401, "identity_missing", path, client)
					d.refused(t, 401, "identity_missing", path)
				}
			}
			l.says(http.Header{"Remote-Email": {"alice@x.example"}})
			d.granted(t, "alice@x.example", path, client)
			d.granted(t, "alice@x.example", path)
			l.says(http.Header{"Remote-Email": {"a@x.example", "b@x.example"}})
			d.refused(t, 401, "identity_invalid", path, client)
			// Without a yes of the auth server nobody gets here.
			for _, status := range []int{401, 403, 302, 500} {
				l.saysWith(status, http.Header{"Remote-Email": {"alice@x.example"}, "Location": {"/login"}})
				d.stopped(t, status, path, client)
			}
			d.quiet(t, "@x.example", "@evil.example")
		})
	}
}

func TestI05_PeersOutside(t *testing.T) {
	const forwarded = "10.0.0.1, 127.0.0.1"
	for name, c := range map[string]struct {
		server, trust string // what the server trusts, and what we do
		ok            bool
	}{
		"this peer":               {"", "127.0.0.1", true},
		"its range":               {"", "10.0.0.0/8 127.0.0.0/8", true},
		"the server's":            {"127.0.0.1", "", true},
		"another peer":            {"", "127.0.0.2", false},
		"another range":           {"", "10.0.0.0/8 192.168.0.0/16 ::1", false},
		"the server's are others": {"10.0.0.0/8", "", false},
		"ours win, no":            {"127.0.0.1", "10.0.0.0/8", false},
		"ours win, yes":           {"10.0.0.0/8", "127.0.0.1", true},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(trusting, "trust proxies 127.0.0.1", "trust proxies "+c.trust, 1)
			d := openEdited(t, text, func(server map[string]any) {
				server["client_ip_headers"] = []string{"X-Forwarded-For", "X-Real-Ip"}
				if c.server != "" {
					server["trusted_proxies"] = map[string]any{"source": "static", "ranges": []string{c.server}}
				}
			})
			for _, edit := range []func(*http.Request){
				func(*http.Request) {}, header("X-Forwarded-For", forwarded), header("X-Real-Ip", "10.0.0.1"),
				header("Forwarded", "for=10.0.0.1"), header("X-Forwarded-For", "10.0.0.1"),
			} {
				if c.ok {
					d.granted(t, "a@x.example", path, as("a@x.example"), edit)
				} else {
					d.refused(t, 401, "identity_untrusted", path, as("a@x.example"), edit)
				}
			}
			if !c.ok && len(d.huma.Users()) != 0 {
				t.Error("somebody was signed up")
			}
			// Without the header there is nothing to trust or not.
			d.refused(t, 401, "identity_missing", path)
			if w := d.warnings(""); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
			d.quiet(t, "@x.example")
		})
	}
}

func TestI05_NoProxiesAtAll(t *testing.T) {
	d := open(t, strings.Replace(trusting, "trust proxies 127.0.0.1", "trust proxies", 1))
	for range 20 {
		d.refused(t, 401, "identity_untrusted", path, as("a@x.example"), header("X-Forwarded-For", "127.0.0.1"))
	}
	if w := d.warnings(""); len(w) != 1 {
		t.Errorf("warnings %q, want one", w)
	}
	d.quiet(t, "@x.example")
}

func TestI05_PrivateRanges(t *testing.T) {
	d := open(t, strings.Replace(trusting, "127.0.0.1", "private_ranges", 1))
	d.granted(t, "a@x.example", path, as("a@x.example"))
}

// openEdited is open for what a Caddyfile cannot say, or not beside the tests'
// own global options: edit changes the JSON of the server.
func openEdited(t testing.TB, text string, edit func(server map[string]any)) *desk {
	t.Helper()
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, "") // for its address, its log file and its end
	var config struct {
		Admin   any            `json:"admin"`
		Logging any            `json:"logging"`
		Apps    map[string]any `json:"apps"`
	}
	if err := json.Unmarshal(s.adapt(fill(huma, text)), &config); err != nil {
		t.Fatal(err)
	}
	for _, server := range config.Apps["http"].(map[string]any)["servers"].(map[string]any) {
		edit(server.(map[string]any))
	}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(b, true); err != nil {
		t.Fatalf("load: %v", err)
	}
	return &desk{s, huma}
}

func TestI06_DoesNotLoad(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, "SITE {\n}")
	header := []string{"trust forward_auth", "trust proxies"}
	for name, c := range map[string]struct {
		lines string
		says  []string
	}{
		"a header without trust":        {"identity {\nemail Remote-Email\n}", append(header, "email", "Remote-Email")},
		"a name without trust":          {"identity {\nemail {http.auth.user.id}\nname Remote-Name\n}", append(header, "name", "Remote-Name")},
		"verified without trust":        {"identity {\nemail {http.auth.user.id}\nverified X-Verified\n}", append(header, "verified", "X-Verified")},
		"a header's placeholder":        {"identity {\nemail {http.request.header.Remote-Email}\n}", append(header, "Remote-Email")},
		"a header's short placeholder":  {"identity {\nemail {header.Remote-Email}\n}", append(header, "Remote-Email")},
		"a preset without trust":        {"identity authelia", append(header, "Remote-Email")},
		"a candidate":                   {"identity {\nemail {http.auth.candidate.id}\n}", []string{"email", "{http.auth.user.id}"}},
		"a candidate's address":         {"identity {\nemail {http.auth.candidate.email}\n}\ntrust proxies 127.0.0.1", []string{"email", "{http.auth.user.id}"}},
		"the query":                     {"identity {\nemail {query.email}\n}", []string{"email", "written by the client"}},
		"the whole query":               {"identity {\nemail {http.request.uri.query}\n}", []string{"email", "written by the client"}},
		"the path":                      {"identity {\nemail {path}\n}", []string{"email", "written by the client"}},
		"a cookie":                      {"identity {\nemail {cookie.email}\n}\ntrust proxies 127.0.0.1", []string{"email", "written by the client"}},
		"the body":                      {"identity {\nemail {http.request.body}\n}", []string{"email", "written by the client"}},
		"the host":                      {"identity {\nemail {host}\n}", []string{"email"}},
		"the client's address":          {"identity {\nemail {client_ip}\n}", []string{"email"}},
		"the environment":               {"identity {\nemail {env.HOME}\n}", []string{"email", "the same for every user"}},
		"a file":                        {"identity {\nemail {file./etc/passwd}\n}", []string{"email", "the same for every user"}},
		"the system's name":             {"identity {\nemail {system.hostname}\n}", []string{"email"}},
		"text around a placeholder":     {"identity {\nemail {http.auth.user.id}@x.example\n}", []string{"email", "alone"}},
		"two placeholders":              {"identity {\nemail {http.auth.user.id}{http.auth.user.email}\n}", []string{"email", "alone"}},
		"an answer's header that isn't": {"identity {\nemail {http.reverse_proxy.status_text}\n}", []string{"email"}},
		"the server's certificate":      {"identity {\nemail {http.request.tls.server_name}\n}", []string{"email"}},
		"an expression":                 {"identity {\nemail {http.regexp.x.1}\n}", []string{"email", "map"}},
		"an underscore":                 {"identity {\nemail OIDC_CLAIM_email\n}\ntrust proxies 127.0.0.1", []string{"email", "expected_underscore_headers"}},
		"a dot":                         {"identity {\nemail X.Email\n}\ntrust proxies 127.0.0.1", []string{"email", "expected_dot_headers"}},
		"no header's name":              {"identity {\nemail X-Email:\n}\ntrust proxies 127.0.0.1", []string{"email"}},
		"no identity":                   {"trust forward_auth", []string{"identity"}},
		"no e-mail":                     {"identity {\nname {http.auth.user.name}\n}", []string{"email"}},
		"no such preset":                {"identity autelia\ntrust forward_auth", []string{"identity", "authelia"}},
		"an upstream with a path":       {"identity authelia\ntrust forward_auth http://authelia:9091/api", []string{"trust", "forward_auth"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.load("SITE {\nhuma_token {\n" + huma.credentials() + c.lines + "\n}\n}")
			if err == nil {
				t.Fatal("it loads")
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not say %q: %v", text, err)
				}
			}
			if strings.Contains(err.Error(), "sandbox-secret") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	for name, lines := range map[string]string{
		"an authentication":       "identity {\nemail {http.auth.user.id}\n}",
		"a map":                   "identity {\nemail {user_email}\n}",
		"a variable":              "identity {\nemail {http.vars.user_email}\n}",
		"a short variable":        "identity {\nemail {vars.user_email}\n}",
		"a certificate":           "identity {\nemail {tls_client_subject}\n}",
		"an answer":               "identity {\nemail {rp.header.Remote-Email}\n}",
		"an answer's underscore":  "identity {\nemail OIDC_CLAIM_email\n}\ntrust forward_auth",
		"a header that is let by": "identity {\nemail X-Email\n}\ntrust proxies 127.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.load("SITE {\nhuma_token {\n" + huma.credentials() + lines + "\n}\n}"); err != nil {
				t.Errorf("it does not load: %v", err)
			}
		})
	}
	if n := len(huma.Calls().Calls); n != 0 {
		t.Errorf("%d calls at Huma", n)
	}
}

// Caddy lets one spelling of a header through, and we read that one alone.
func TestI06_UnderscoresLetThrough(t *testing.T) {
	text := `SITE {
		huma_token {
			HUMA
			identity {
				email OIDC_CLAIM_email
			}
			trust proxies 127.0.0.1
		}
	}`
	d := openEdited(t, text, func(server map[string]any) {
		server["expected_underscore_headers"] = []string{"OIDC_CLAIM_email"}
	})
	right := header("OIDC_CLAIM_email", "a@x.example")
	d.granted(t, "a@x.example", path, right)
	d.refused(t, 401, "identity_missing", path, header("OIDC-CLAIM-email", "mallory@evil.example"))
	d.refused(t, 401, "identity_missing", path, header("OIDC.CLAIM.email", "mallory@evil.example"))
	d.refused(t, 401, "identity_missing", path, header("OIDC_CLAIM-email", "mallory@evil.example"))
	d.granted(t, "a@x.example", path, right, header("OIDC-CLAIM-email", "mallory@evil.example"), header("OIDC.CLAIM.email", "mallory@evil.example"))
	// Caddy drops what stands there twice.
	d.refused(t, 401, "identity_missing", path, right, header("OIDC_CLAIM_email", "mallory@evil.example"))
	d.quiet(t, "@x.example", "@evil.example")
}

// authority makes certificates.
type authority struct {
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	var der []byte
	a.key, der = a.sign(template, template, nil)
	a.cert, _ = x509.ParseCertificate(der)
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

// sign makes a key and a certificate for it, signed by itself if there is no
// signer.
func (a *authority) sign(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// server makes the certificate of the site, in files.
func (a *authority) server() (cert, key string) {
	a.t.Helper()
	k, der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, a.key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write("server.pem", "CERTIFICATE", der), a.write("server.key", "PRIVATE KEY", keyDER)
}

// client makes a user's certificate, of the authority or of nobody.
func (a *authority) client(selfSigned bool, emails ...string) *tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "a user"}, EmailAddresses: emails, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	parent, signer := a.cert, a.key
	if selfSigned {
		parent, signer = template, nil
	}
	key, der := a.sign(template, parent, signer)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestI14_ClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	certFile, keyFile := ours.server()
	alice, bob := ours.client(false, "alice@x.example"), ours.client(false, "bob@x.example")
	two, none := ours.client(false, "alice@x.example", "bob@x.example"), ours.client(false)
	self, foreign := ours.client(true, "alice@x.example"), theirs.client(false, "alice@x.example")
	pool := "trust_pool file " + ours.file

	const source, list = "{http.request.tls.client.san.emails.0}", "{http.request.tls.client.san.emails}"
	for name, c := range map[string]struct {
		mode, pool, source string
		want               map[*tls.Certificate]string // user, code, or nothing where there is no handshake
	}{
		"no client_auth": {"", "", source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted"}},
		"request": {"request", "", source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"request, a pool": {"request", pool, source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"require": {"require", "", source, map[*tls.Certificate]string{
			nil: "", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"require, a pool": {"require", pool, source, map[*tls.Certificate]string{
			nil: "", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"verify_if_given": {"verify_if_given", pool, source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "alice@x.example", bob: "bob@x.example", self: "", foreign: "", none: "identity_missing"}},
		"require_and_verify": {"require_and_verify", pool, source, map[*tls.Certificate]string{
			nil: "", alice: "alice@x.example", bob: "bob@x.example", two: "alice@x.example", self: "", foreign: "", none: "identity_missing"}},
		"the list": {"require_and_verify", pool, list, map[*tls.Certificate]string{
			alice: "alice@x.example", two: "identity_invalid", none: "identity_missing", self: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(freeAddress(t))
			address, auth := "https://localhost:"+port, "" // with client_auth Caddy wants SNI, and addresses have none
			if c.mode != "" {
				auth = "client_auth {\nmode " + c.mode + "\n" + c.pool + "\n}"
			}
			d := open(t, address+" {\nbind 127.0.0.1\ntls "+certFile+" "+keyFile+" {\n"+auth+"\n}\nhuma_token {\nHUMA\nidentity {\nemail "+c.source+"\n}\n}\n}")
			roots := x509.NewCertPool()
			roots.AddCert(ours.cert)
			for cert, want := range c.want {
				config := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				if cert != nil {
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
				}
				over := d.at(address)
				over.client = &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
				// Twice: the second connection resumes the first one's session.
				for range 2 {
					switch {
					case want == "":
						before := len(d.huma.Calls().Calls)
						if a, err := over.try(t.Context(), "GET", path); err == nil {
							t.Errorf("there is an answer without a handshake: %d %s", a.StatusCode, a.Body)
						}
						d.untouched(t, before)
					case strings.Contains(want, "@"):
						over.granted(t, want, path)
					default:
						over.refused(t, 401, want, path)
					}
				}
			}
			d.quiet(t, "@x.example")
		})
	}
}

func TestI15_AnotherProxyAfterwards(t *testing.T) {
	auth, other := newLayer(t), newLayer(t)
	client := header("Remote-Email", "mallory@evil.example")
	text := func(order, trust string) string {
		steps := ""
		for _, l := range strings.Fields(order) {
			upstream := map[string]string{"auth": auth.URL, "other": other.URL}[l]
			steps += "forward_auth " + upstream + " {\nuri /verify\ncopy_headers Remote-Email\n}\n"
		}
		return "SITE {\nroute {\n" + steps + "huma_token {\nHUMA\nidentity authelia\n" + trust + "\n}\n}\n}"
	}
	host, port, _ := net.SplitHostPort(auth.hostport())
	right := []string{
		"trust forward_auth " + auth.hostport(), "trust forward_auth " + auth.URL, "trust forward_auth tcp/" + auth.hostport(),
		"trust forward_auth HTTP://" + auth.hostport(), fmt.Sprintf("trust forward_auth h2c://%s:0%s", host, port),
	}
	wrong := "trust forward_auth " + other.hostport()

	t.Run("any upstream", func(t *testing.T) {
		auth.says(http.Header{"Remote-Email": {"alice@x.example"}})
		other.says(http.Header{"Remote-Email": {"other@x.example"}})
		d := open(t, text("auth other", "trust forward_auth"))
		d.granted(t, "other@x.example", path, client) // the last one's answer counts
		other.says(nil)
		d.refused(t, 401, "identity_missing", path, client) // and nothing is left of the first one's
		d.quiet(t, "@x.example", "@evil.example")
	})
	for _, trust := range right {
		t.Run(strings.NewReplacer(auth.hostport(), "HOST", port, "PORT").Replace(trust), func(t *testing.T) {
			auth.says(http.Header{"Remote-Email": {"alice@x.example"}})
			other.says(http.Header{"Remote-Email": {"other@x.example"}})
			open(t, text("auth", trust)).granted(t, "alice@x.example", path, client)
			open(t, text("other auth", trust)).granted(t, "alice@x.example", path, client)
			d := open(t, text("auth other", trust))
			d.refused(t, 401, "identity_untrusted", path, client)
			other.says(nil)
			d.refused(t, 401, "identity_untrusted", path, client)
			d.quiet(t, "@x.example", "@evil.example")
		})
	}
	t.Run("the wrong upstream", func(t *testing.T) {
		auth.says(http.Header{"Remote-Email": {"alice@x.example"}})
		open(t, text("auth", wrong)).refused(t, 401, "identity_untrusted", path, client)
		auth.says(nil)
		open(t, text("auth", wrong)).refused(t, 401, "identity_untrusted", path, client)
	})
	t.Run("none at all", func(t *testing.T) {
		d := open(t, text("", right[0]))
		d.refused(t, 401, "identity_missing", path, client)
		d.refused(t, 401, "identity_missing", path, client)
		if w := d.warnings(""); len(w) != 1 || !strings.Contains(d.log(), "no forward_auth ran before this handler") {
			t.Errorf("warnings %q, want one that says so", w)
		}
	})
}

func TestI16_ValuesThatAreNoText(t *testing.T) {
	for name, c := range map[string]struct{ mapping, code string }{
		"a miss":            {"/other a@x.example", "identity_missing"},
		"nothing":           {`default ""`, "identity_missing"},
		"a number":          {"default 007", "identity_invalid"},
		"a quoted number":   {`default "007"`, "identity_invalid"},
		"a number's output": {path + " 7", "identity_invalid"},
		"a boolean":         {path + " true", "identity_invalid"},
		"a fraction":        {path + " 1.50", "identity_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, placeholderSite("{user_email}", "map {path} {user_email} {\n"+c.mapping+"\n}"))
			d.refused(t, 401, c.code, path)
		})
	}
	for name, c := range map[string]struct {
		value any
		code  string // or the user
	}{
		"a list of two":       {[]any{"a@x.example", "b@x.example"}, "identity_invalid"},
		"the same twice":      {[]any{"a@x.example", "a@x.example"}, "identity_invalid"},
		"an empty list":       {[]any{}, "identity_missing"},
		"a list of nothing":   {[]any{nil}, "identity_missing"},
		"a list of a number":  {[]any{7}, "identity_invalid"},
		"a list of a list":    {[]any{[]any{"a@x.example"}}, "identity_invalid"},
		"a list of an object": {[]any{map[string]any{"email": "a@x.example"}}, "identity_invalid"},
		"a number":            {7, "identity_invalid"},
		"a boolean":           {true, "identity_invalid"},
		"an object":           {map[string]any{"email": "a@x.example"}, "identity_invalid"},
		"null":                {nil, "identity_missing"},
		"a list of one":       {[]any{"a@x.example"}, "a@x.example"},
		"text":                {"a@x.example", "a@x.example"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openEdited(t, placeholderSite("{http.vars.user_email}", ""), func(server map[string]any) {
				vars := map[string]any{"handle": []any{map[string]any{"handler": "vars", "user_email": c.value}}}
				server["routes"] = append([]any{vars}, server["routes"].([]any)...)
			})
			if strings.Contains(c.code, "@") {
				d.granted(t, c.code, path)
			} else {
				d.refused(t, 401, c.code, path)
			}
			d.quiet(t, "@x.example")
		})
	}
}
