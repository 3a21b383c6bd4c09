package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// siteCertificate returns a self-signed certificate for 127.0.0.1, which the clients of
// the tests trust.
var siteCertificate = sync.OnceValue(func() *x509.Certificate {
	der, _ := pem.Decode(siteCertificatePEM().certificate)
	certificate, err := x509.ParseCertificate(der.Bytes)
	if err != nil {
		panic(err)
	}
	return certificate
})

type certificatePEM struct{ certificate, key []byte }

var siteCertificatePEM = sync.OnceValue(func() certificatePEM {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sidecar"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return certificatePEM{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
})

// siteTLS is the TLS config of clients of a proxy in front of a sidecar.
func siteTLS() *tls.Config {
	authorities := x509.NewCertPool()
	authorities.AddCert(siteCertificate())
	return &tls.Config{RootCAs: authorities}
}

// sidecar is a Caddy beside a proxy, with a file of testdata/sidecar as its config, and an
// application. url of the site is that of the proxy.
type sidecar struct {
	*site
	dir     string            // readable for the proxy
	port    string            // of the proxy
	socket  string            // of the sidecar
	replace map[string]string // paths, ports and credentials in the files of testdata/sidecar
}

// startSidecar runs the sandbox, the application and the sidecar.
func startSidecar(t *testing.T, port string) *sidecar {
	t.Helper()
	// The workers of proxies do not run as root and cannot read t.TempDir.
	dir, err := os.MkdirTemp("", "sidecar")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run := filepath.Join(dir, "run")
	for path, mode := range map[string]os.FileMode{dir: 0o755, run: 0o750} {
		if err := os.MkdirAll(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		// Like d /run/caddy-huma 2750 caddy www-data in tmpfiles.d, with root as caddy.
		if err := os.Chown(run, 0, groupID(t, "www-data")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(run, 0o750|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
	}

	s := &sidecar{site: &site{url: "https://127.0.0.1:" + port}, dir: dir, port: port, socket: filepath.Join(run, "http.sock")}
	sandbox := freePort(t)
	s.huma = "http://127.0.0.1:" + sandbox
	startCaddy(t, t.TempDir(), "127.0.0.1:"+sandbox, "", s.huma+" {\nhuma_sandbox\n}\n")
	config, err := json.Marshal(map[string]any{"apiUrl": s.huma, "projectId": "p1", "deploymentId": "d1", "clients": map[string]string{"ios": "c1"}, "secret": "sandbox-secret"})
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("the application"))
	}))
	t.Cleanup(app.Close)
	s.replace = map[string]string{
		"/run/caddy-huma":                         run,
		"/etc/huma/huma-config.json":              s.file(t, "huma-config.json", string(config)),
		"127.0.0.1:3000":                          strings.TrimPrefix(app.URL, "http://"),
		"https://app.clinic.example":              s.url,
		"/etc/ssl/app.clinic.example.pem":         s.file(t, "site.pem", string(siteCertificatePEM().certificate)),
		"/etc/ssl/private/app.clinic.example.key": s.file(t, "site.key", string(siteCertificatePEM().key)),
		"/etc/haproxy/app.clinic.example.pem":     s.file(t, "both.pem", string(siteCertificatePEM().certificate)+string(siteCertificatePEM().key)),
	}
	s.serve(t)
	return s
}

func groupID(t *testing.T, name string) int {
	t.Helper()
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// file writes a file that proxies can read, and returns its path.
func (s *sidecar) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	write(t, path, text)
	return path
}

// config writes a file of testdata/sidecar with other paths, ports and credentials, each
// of which it must contain, and returns its path.
func (s *sidecar) config(t *testing.T, name string, replace map[string]string) string {
	t.Helper()
	text := string(read(t, filepath.Join("../sidecar", name)))
	for old, value := range replace {
		if !strings.Contains(text, old) {
			t.Fatalf("%s does not contain %q", name, old)
		}
		text = strings.ReplaceAll(text, old, value)
	}
	for old, value := range s.replace {
		text = strings.ReplaceAll(text, old, value)
	}
	return s.file(t, name, text)
}

// serve starts the sidecar, also after it was stopped.
func (s *sidecar) serve(t *testing.T) {
	t.Helper()
	s.caddy = start(t, s.dir, s.socket, []string{"XDG_DATA_HOME=" + t.TempDir(), "XDG_CONFIG_HOME=" + t.TempDir()},
		caddyBinary, "run", "--config", s.config(t, "Caddyfile", nil), "--adapter", "caddyfile")
}

// startNginx runs nginx, with oauth2-proxy at an address.
func (s *sidecar) startNginx(t *testing.T, oauth2Proxy string) {
	t.Helper()
	config := s.config(t, "nginx.conf", map[string]string{
		"listen 443": "listen 127.0.0.1:" + s.port, "pid /run/nginx.pid": "pid " + filepath.Join(s.dir, "nginx.pid"), "127.0.0.1:4180": oauth2Proxy,
	})
	start(t, s.dir, "127.0.0.1:"+s.port, nil, "/usr/sbin/nginx", "-c", config, "-g", "daemon off;")
}

// startHAProxy runs HAProxy, with the group of the socket if this user is root.
func (s *sidecar) startHAProxy(t *testing.T) {
	t.Helper()
	replace := map[string]string{"bind :443": "bind 127.0.0.1:" + s.port, "user haproxy": "user www-data", "group haproxy": "group www-data"}
	if os.Getuid() != 0 {
		replace["user haproxy"], replace["group haproxy"] = "", ""
	}
	start(t, s.dir, "127.0.0.1:"+s.port, nil, "/usr/sbin/haproxy", "-db", "-f", s.config(t, "haproxy.cfg", replace))
}

// warmUp makes requests until each process of the provider has answered one: the first one
// may take longer than the timeout of mod_auth_openidc.
func (p *provider) warmUp(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			res, err := p.newBrowser(t).Get(p.issuer + "/.well-known/openid-configuration")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
		})
	}
	wg.Wait()
}

// startApache runs Apache httpd with a provider.
func (s *sidecar) startApache(t *testing.T, p *provider) {
	t.Helper()
	config := s.config(t, "apache.conf", map[string]string{
		"Listen 443": "Listen 127.0.0.1:" + s.port, "*:443": "*:" + s.port,
		"ServerRoot /etc/apache2": "ServerRoot " + s.dir, "/run/apache2/apache2.pid": filepath.Join(s.dir, "apache.pid"), "file:/run/lock/apache2": "file:" + s.dir,
		"https://id.clinic.example": p.issuer, "REPLACE-THE-CLIENT-SECRET": clientSecret, "REPLACE-THE-PASSPHRASE": "an-invented-passphrase",
		"/etc/ssl/certs/ca-certificates.crt": s.file(t, "ca.crt", string(read(t, p.ca))),
	})
	start(t, s.dir, "127.0.0.1:"+s.port, nil, apacheBinary, "-d", s.dir, "-f", config, "-DFOREGROUND")
}
