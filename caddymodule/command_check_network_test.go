package caddymodule_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/check"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestCheckFindsClock checks from which difference of the clocks there is a warning or a
// problem, which depends on what the directive needs the time for.
func TestCheckFindsClock(t *testing.T) {
	timestamp := "signature hmac-sha256 {\npayload {sig.timestamp}{sig.body}\n}\nheader_up X-Timestamp {sig.timestamp}"
	for _, c := range []struct {
		name    string
		service sandbox.Signature
		ahead   time.Duration // of the service's clock
		options string
		want    string // empty: nothing is found
	}{
		{name: "right", ahead: 0},
		{name: "half a minute", ahead: 30 * time.Second},
		{name: "two minutes behind", ahead: 2 * time.Minute, want: "clock warning: this machine's clock is 2m0s behind the service's → timedatectl"},
		{name: "ten minutes behind", ahead: 10 * time.Minute, want: "clock problem: this machine's clock is 10m0s behind the service's → timedatectl"},
		{name: "ten minutes ahead", ahead: -10 * time.Minute, want: "clock problem: this machine's clock is 10m0s ahead of the service's"},
		{"the time is signed", sandbox.Signature{Payload: "{sig.timestamp}{sig.body}"}, 2 * time.Minute, timestamp, "clock problem: 2m0s behind the service's, but a correct clock is required: the signature contains a timestamp"},
		{name: "the time is sent", ahead: 2 * time.Minute, options: "header_up X-Timestamp {sig.timestamp}", want: "clock problem: a header contains a timestamp"},
		{"hawk", sandbox.Signature{Algorithm: "hawk", ID: "h"}, 2 * time.Minute, "signature hawk {\nid h\n}", "clock problem: the signature contains a timestamp"},
		{"signed, and the same", sandbox.Signature{Payload: "{sig.timestamp}{sig.body}"}, 0, timestamp, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := servedBy(t, sandbox.Config{Signature: c.service}, func(w http.ResponseWriter) {
				w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
			})
			_, all := runCheck(t, caddyfileOf(t, humaBlock(fake, c.options)))
			if c.want == "" {
				finds(t, all)
			} else {
				finds(t, all, c.want)
			}
		})
	}
	silent := servedBy(t, sandbox.Config{}, func(w http.ResponseWriter) { w.Header()["Date"] = nil })
	if _, all := runCheck(t, caddyfileOf(t, humaBlock(silent))); results(all)["clock"] != "skipped" {
		t.Errorf("%v", all)
	}
	// Assertions need a correct clock.
	late := servedBy(t, sandbox.Config{}, func(w http.ResponseWriter) {
		w.Header().Set("Date", time.Now().Add(-2*time.Minute).UTC().Format(http.TimeFormat))
	})
	verify := strings.Replace(humaBlock(late), "identity basic_auth", "identity google_iap {\nverify {\naudience /projects/1/global/backendServices/2\n}\n}", 1)
	noNames(t)
	_, all := runCheck(t, caddyfileOf(t, verify))
	finds(t, all, "jwks problem: fetch JWKS: → allow the connection", "clock problem: signed assertions are rejected if the clock skew", "client_ip warning: `identity google_iap` → trusted_proxies static private_ranges")
	verify = strings.Replace(humaBlock(late), "identity basic_auth", "userinfo http://127.0.0.1:1/me {\nemail email\nverify {\nissuer http://127.0.0.1:1\nrequire azp a\n}\n}", 1)
	_, all = runCheck(t, caddyfileOf(t, verify))
	finds(t, all, "discovery problem: fetch discovery document: → the issuer", "userinfo problem: connection refused → start the service", "clock problem: signed assertions are rejected if the clock skew")
}

// TestCheckFindsCertificates checks the results for certificates that are not trusted.
func TestCheckFindsCertificates(t *testing.T) {
	other := testutil.NewAuthority(t.TempDir(), "another authority")
	expired, early, elsewhere, named := testutil.Loopback(), testutil.Loopback(), testutil.Loopback(), testutil.Loopback()
	expired.NotAfter = time.Now().Add(-time.Hour)
	early.NotBefore = time.Now().Add(30 * time.Minute)
	elsewhere.IPAddresses, elsewhere.DNSNames = []net.IP{net.IPv4(127, 0, 0, 9)}, nil
	named.IPAddresses, named.DNSNames = nil, []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
	clientCertificate := func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }
	for _, c := range []struct {
		name     string
		template *x509.Certificate
		signer   *testutil.Authority
		edit     []func(*tls.Config)
		want     string
	}{
		{"expired", expired, systemAuthority, nil, "tls problem: the certificate of 127.0.0.1 has expired: it was valid until " + expired.NotAfter.UTC().Format(time.RFC3339) + " → renew"},
		{"not yet good", early, systemAuthority, nil, "tls problem: is not valid before → set this machine's clock"},
		{"another host's", elsewhere, systemAuthority, nil, "tls problem: the certificate is valid for 127.0.0.9, not for 127.0.0.1 → correct the host in the option api"},
		{"other names", named, systemAuthority, nil, "tls problem: valid for a.example, b.example, c.example, d.example and 1 more, not for 127.0.0.1"},
		{"self-signed", testutil.Loopback(), nil, nil, "tls problem: is self-signed and not trusted → TRUST"},
		{"unknown authority", testutil.Loopback(), other, nil, "tls problem: signed by an unknown authority: another authority → TRUST"},
		{"no TLS", nil, nil, nil, "tls problem: does not speak TLS → port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := newTLSService(t, sandbox.Config{}, c.template, c.signer, c.edit...)
			for block, trust := range map[string]string{humaBlock(fake, "retries 0"): "tls { ca ", humanBlock(fake, "retries 0"): "authority"} {
				_, all := runCheck(t, caddyfileOf(t, block))
				finds(t, all, strings.Replace(c.want, "TRUST", trust, 1))
				if r := results(all); r["connection"] != "ok" || r["clock"] != "skipped" || r["credentials"] != "skipped" {
					t.Errorf("%v", all)
				}
			}
			if len(fake.Calls().Calls) > 0 {
				t.Error("a request was sent")
			}
		})
	}
	t.Run("a client certificate is wanted", func(t *testing.T) {
		fake := newTLSService(t, sandbox.Config{}, testutil.Loopback(), systemAuthority, clientCertificate)
		_, all := runCheck(t, caddyfileOf(t, humaBlock(fake)))
		finds(t, all, "tls problem: it may require a client certificate → client_certificate", "credentials problem: no response")
	})
}

// TestCheckFindsNetwork checks a name that does not resolve, and an address at which no
// server listens.
func TestCheckFindsNetwork(t *testing.T) {
	noNames(t)
	fake := newHuma(t, sandbox.Config{})
	at := func(address string) string { return strings.Replace(humaBlock(fake), fake.URL, address, 1) }
	_, all := runCheck(t, caddyfileOf(t, at("https://something.invalid")))
	finds(t, all, "dns problem: lookup something.invalid → correct the option api")
	for _, name := range []string{"connection", "tls", "clock", "credentials"} {
		if results(all)[name] != "skipped" {
			t.Errorf("%s: %v", name, all)
		}
	}
	_, all = runCheck(t, caddyfileOf(t, at("http://"+freeAddress(t))))
	finds(t, all, "connection problem: connection refused → firewall")

	// One that is not there does not keep the other from being looked at.
	_, all = runCheck(t, caddyfileOf(t, "handle /a {\n"+at("https://something.invalid")+"\n}\nhandle {\n"+humaBlock(fake, "max_concurrent 7")+"\n}"))
	finds(t, all, "dns problem: something.invalid", "routes problem: is handled by another directive")
}

// noNames makes all DNS lookups fail with NXDOMAIN.
func noNames(t *testing.T) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			query[2], query[3] = 0x81, 0x83 // an answer: there is no such name (RFC 1035, 4.1.1)
			_, _ = server.WriteTo(query[:n], from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before })
}

// TestCheckFindsClientIP checks the result about the IP address that Huma gets.
func TestCheckFindsClientIP(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	proxied := strings.Replace(humaBlock(fake), "identity basic_auth", "identity authelia\ntrust proxies 10.0.0.0/8 192.168.0.1", 1)
	server := func(lines string) string { return "{\nservers {\n" + lines + "\n}\n}\n" }
	for _, c := range []struct {
		name                         string
		global, block, result, found string
		want                         string
	}{
		{"no proxy in front", "", humaBlock(fake), "ok", "the direct peer", ""},
		{"a proxy in front", "", proxied, "warning", "", "client_ip warning: the proxy's IP address → servers { trusted_proxies static 10.0.0.0/8 192.168.0.1 }"},
		{"headers not read", server("client_ip_headers X-Real-Ip"), humaBlock(fake), "problem", "", "client_ip problem: X-Real-Ip is ignored → trusted_proxies static private_ranges"},
		{"trusted proxies", server("trusted_proxies static 10.0.0.0/8"), proxied, "ok", "in X-Forwarded-For; if the proxy appends", ""},
		{"all that is needed", server("trusted_proxies static 10.0.0.0/8\ntrusted_proxies_strict\nclient_ip_headers X-Real-Ip"), proxied, "ok", "sends in X-Real-Ip", ""},
		{"no sign-up", "", strings.Replace(proxied, "api", "registration off\napi", 1), "skipped", "does not sign up users", ""},
		{"Human API", "", humanBlock(fake), "skipped", "does not sign up users", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, all := runCheck(t, writeFile(t, "Caddyfile", c.global+"http://localhost:8080 {\n"+c.block+"\n"+basicAuthBlock+"}\n"))
			if c.want == "" {
				finds(t, all)
			} else {
				finds(t, all, c.want)
			}
			for _, found := range all {
				if found.Check == "client_ip" && (found.Result != c.result || !strings.Contains(found.Detail, c.found)) {
					t.Errorf("%+v", found)
				}
			}
		})
	}
}

// TestCheckFindsRedis checks the result about the shared store.
func TestCheckFindsRedis(t *testing.T) {
	r := redistest.Start(t, "--requirepass", "canary")
	fake := newHuma(t, sandbox.Config{})
	redis := func(address, more string) string {
		return caddyfileOf(t, humaBlock(fake, "cache {\nredis {\naddress "+address+"\nencryption_keys "+redisKey+"\n"+more+"\n}\n}"))
	}
	_, all := runCheck(t, redis(r.Addr(), "password canary"))
	finds(t, all)
	_, all = runCheck(t, redis(r.Addr(), ""))
	finds(t, all, "redis problem: NOAUTH → password")
	_, all = runCheck(t, redis(r.Addr(), "password wrong-canary"))
	finds(t, all, "redis problem: WRONGPASS → password")
	_, all = runCheck(t, redis(freeAddress(t), ""))
	finds(t, all, "redis problem: connection refused → address")
	if strings.Contains(fmt.Sprint(all), "canary") {
		t.Errorf("the password is printed: %v", all)
	}
}

// TestCheckEnds checks that --timeout ends the command even if a service hangs.
func TestCheckEnds(t *testing.T) {
	hangs := testutil.Listen(t)
	fake := &fakeHuma{URL: "http://" + hangs.Addr().String()}
	config := caddyfileOf(t, humaBlock(fake, "cache {\nredis {\naddress "+hangs.Addr().String()+"\nencryption_keys "+redisKey+"\n}\n}\ntimeout 1s"), humanBlock(fake, "timeout 1s"))
	began := time.Now()
	r := run(t, check.Command(), "--config", config, "--timeout", "500ms")
	r.ends(1, "human_api_token", "credentials  problem", "no response: timed out", "huma_token", "credentials  problem", "redis        problem")
	secure := caddyfileOf(t, strings.Replace(humaBlock(fake), "http:", "https:", 1))
	run(t, check.Command(), "--config", secure, "--timeout", "500ms").
		ends(1, "connection   ok", "tls          problem", "TLS handshake timed out", "→ check that the port in the option api is an https port", "credentials  skipped")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestCheckUsage(t *testing.T) {
	for args, part := range map[string]string{
		"--timeout 0s":         "--timeout must be positive",
		"--timeout x":          "invalid",
		"--config a --json=no": "invalid",
	} {
		run(t, check.Command(), strings.Fields(args)...).fails(2, part)
	}
}
