package identity

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
)

func TestVerified(t *testing.T) {
	i := mustNew(t, Config{Email: "{http.auth.user.email}", Verified: "{http.auth.user.email_verified}"})
	for _, yes := range []any{true, "true", "TRUE", "1", "yes", "Yes", "on", "oN", []string{"true"}, []any{"yes"}} {
		wantUser(t, i, withPlaceholders(placeholders{"http.auth.user.email": "a@x.io", "http.auth.user.email_verified": yes}), "a@x.io")
	}
	no := []any{
		nil, false, "", " ", "false", "0", "no", "off", "t", "y", "true ", "true,true", "\u0131", 1, 1.0, []string{"true", "true"}, []any{true, true},
		[]byte("true"), "o\u212a", "ye\u017f",
	}
	for _, value := range no {
		wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.email": "a@x.io", "http.auth.user.email_verified": value}), ErrEmailUnverified)
	}
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.email": "a@x.io"}), ErrEmailUnverified)
	// Without an address, the option verified is not checked.
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.email_verified": true}), ErrNoAuthentication)

	t.Run("a header", func(t *testing.T) {
		i := mustNew(t, Config{Email: "{http.auth.user.id}", Verified: "X-Verified", Trust: trustProxy()})
		r := fromProxy("X-Verified", "true")
		r.Placeholders = placeholders{"http.auth.user.id": "a@x.io"}
		wantUser(t, i, r, "a@x.io")
		r.RemoteAddr = untrustedPeer
		wantRejection(t, i, r, ErrEmailUnverified)
		r.RemoteAddr = proxyPeer
		r.Header.Add("X-Verified", "true")
		wantRejection(t, i, r, ErrEmailUnverified)
	})
	t.Run("a certificate", func(t *testing.T) {
		i := mustNew(t, Config{Email: "{http.auth.user.id}", Verified: "{http.request.tls.client.verified}"})
		wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": "a@x.io", "http.request.tls.client.verified": true}), ErrEmailUnverified)
	})
}

func TestDomains(t *testing.T) {
	i := mustNew(t, Config{Email: "{http.auth.user.id}", Domains: []string{"Example.com", "klinik-m\u00fcller.example"}})
	for _, email := range []string{
		"a@example.com", "a@EXAMPLE.com", "a@klinik-m\u00fcller.example", "a@klinik-M\u00dcLLER.example", "a@\uff45xample.com",
	} {
		wantUser(t, i, withPlaceholders(placeholders{"http.auth.user.id": email}), email)
	}
	for _, email := range []string{
		"a@sub.example.com", "a@example.com.evil.io", "a@evilexample.com", "a@example.co", "example.com@x.io", "a@exampl\u0435.com", "a@klinik-mueller.example",
	} {
		wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": email}), ErrDomainNotAllowed)
	}
	both := mustNew(t, Config{Email: "{http.auth.user.id}", Verified: "{verified}", Domains: []string{"example.com"}})
	wantRejection(t, both, withPlaceholders(placeholders{"http.auth.user.id": "a@evil.io"}), ErrEmailUnverified)
}

func TestUserID(t *testing.T) {
	i := mustNew(t, Config{Email: "{http.auth.user.email}", UserID: "{http.auth.user.sub}"})
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"an id", "u-1", "u-1"},
		{"a list of one", []string{"u-1"}, "u-1"},
		{"any characters", "auth0|1:2 \u738b", "auth0|1:2 \u738b"},
		{"256 bytes", strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{"257 bytes", strings.Repeat("x", 257), ""},
		{"empty", "", ""},
		{"blank", " ", ""},
		{"nothing", nil, ""},
		{"a number", 7, ""},
		{"invalid UTF-8", "u\xff", ""},
		{"replaced bytes", "u\ufffd", ""},
		{"a control", "u\n1", ""},
		{"another control", "u\u0085", ""},
		{"a list of two", []string{"u-1", "u-2"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := wantUser(t, i, withPlaceholders(placeholders{"http.auth.user.email": "a@x.io", "http.auth.user.sub": tt.value}), "a@x.io")
			if got := u.ID.Reveal(); got != tt.want {
				t.Fatalf("id %q, want %q", got, tt.want)
			}
		})
	}
	u := wantUser(t, i, withPlaceholders(placeholders{"http.auth.user.email": "a@x.io"}), "a@x.io")
	if !u.ID.IsZero() {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	u = wantUser(t, byUser(t), withPlaceholders(placeholders{"http.auth.user.email": "a@x.io", "http.auth.user.sub": "u"}), "a@x.io")
	if !u.ID.IsZero() {
		t.Fatalf("an id without a source: %q", u.ID.Reveal())
	}
	// An id from an untrusted peer is not used.
	i = mustNew(t, Config{Email: "{http.auth.user.email}", UserID: "Remote-User", Trust: trustProxy()})
	r := withPlaceholders(placeholders{"http.auth.user.email": "a@x.io"})
	r.Header = header("Remote-User", "u-1")
	if u := wantUser(t, i, r, "a@x.io"); !u.ID.IsZero() {
		t.Fatalf("id %q of a stranger", u.ID.Reveal())
	}
}

// FuzzIdentify tests I13: the result depends only on the configured source and the
// peer, whatever else the request contains.
func FuzzIdentify(f *testing.F) {
	f.Add("X_Remote_Email", "evil@x.io", "Remote.Email", "evil@x.io", "http.auth.candidate.id", "evil@x.io", untrustedPeer)
	f.Add("Remote-Emai", "evil@x.io", "Remote-Email2", "", "http.request.header.Remote-Email", "evil@x.io", proxyPeer)
	f.Add("X-Forwarded-For", "10.1.2.3", "Forwarded", "for=10.1.2.3", "user_email", "evil@x.io", "@")
	f.Add("Remote-Email", "evil@x.io", "remote-email", "evil@x.io", "http.vars.client_ip", "10.1.2.3", "")
	f.Add("0", "u-1", "0", "a@x.io ", "0", "0", "")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, placeholder, text, peer string) {
		noise := http.Header{}
		noise.Add(name1, value1)
		noise[name2] = append(noise[name2], value2)

		t.Run("a header of a proxy", func(t *testing.T) {
			i := byHeader(t)
			h := maps.Clone(noise)
			delete(h, "Remote-Email")
			p := placeholders{placeholder: text}
			wantRejection(t, i, &Request{Header: h, Placeholders: p, RemoteAddr: proxyPeer}, ErrNoHeader)
			h["Remote-Email"] = []string{"a@x.io"}
			wantUser(t, i, &Request{Header: h, Placeholders: p, RemoteAddr: proxyPeer}, "a@x.io")
			wantRejection(t, i, &Request{Header: h, Placeholders: p, RemoteAddr: untrustedPeer}, ErrUntrustedPeer)
		})
		t.Run("a response of the auth server", func(t *testing.T) {
			i := mustNew(t, Config{Email: "Remote-Email", Trust: Trust{Mode: TrustForwardAuth, Upstream: "authelia:9091"}})
			p := placeholders{placeholder: text}
			maps.Copy(p, respondedBy("authelia:9091"))
			delete(p, "http.reverse_proxy.header.Remote-Email")
			r := &Request{Header: noise, Placeholders: p, RemoteAddr: peer, TLS: new(tls.ConnectionState), TrustedProxy: true}
			wantRejection(t, i, r, ErrNoResponseHeader)
			p["http.reverse_proxy.header.Remote-Email"] = "a@x.io"
			wantUser(t, i, r, "a@x.io")
		})
		t.Run("a placeholder", func(t *testing.T) {
			i := byUser(t)
			p := placeholders{placeholder: text, "http.auth.user.id": "alice"}
			delete(p, "http.auth.user.email")
			r := &Request{Header: noise, Placeholders: p, RemoteAddr: peer}
			wantRejection(t, i, r, ErrNoUserPlaceholder)
			p["http.auth.user.email"] = "a@x.io"
			wantUser(t, i, r, "a@x.io")
		})
		t.Run("by id", func(t *testing.T) {
			i := mustNew(t, Config{ByID: true, Email: "Remote-Email", UserID: "Remote-User", Trust: trustProxy()})
			h := maps.Clone(noise)
			delete(h, "Remote-Email")
			delete(h, "Remote-User")
			p := placeholders{placeholder: text}
			wantRejection(t, i, &Request{Header: h, Placeholders: p, RemoteAddr: proxyPeer}, ErrNoHeader.forUserID())
			h["Remote-User"] = []string{"u-1"}
			wantID(t, i, &Request{Header: h, Placeholders: p, RemoteAddr: proxyPeer}, "u-1", "")
			h["Remote-Email"] = []string{"a@x.io"}
			wantID(t, i, &Request{Header: h, Placeholders: p, RemoteAddr: proxyPeer}, "u-1", "a@x.io")
			wantRejection(t, i, &Request{Header: h, Placeholders: p, RemoteAddr: untrustedPeer}, ErrUntrustedPeer)
			// If the request is accepted, the id is value1, and the address is empty or
			// value2 without blanks around it.
			h["Remote-User"], h["Remote-Email"] = []string{value1}, []string{value2}
			u, err := i.Identify(context.Background(), &Request{Header: h, Placeholders: p, RemoteAddr: proxyPeer})
			if _, plain := syntax.Address(u.Email.Reveal()); err == nil && (value1 == "" || u.ID.Reveal() != value1 || !u.Email.IsZero() && (!plain || u.Email.Reveal() != syntax.TrimAddress(value2))) {
				t.Fatalf("the id %q of %q, the address %q of %q", u.ID.Reveal(), value1, u.Email.Reveal(), value2)
			}
			if key := string(u.AppendKey(nil)); err == nil && key != value1 {
				t.Fatalf("the key %q of the id %q", key, value1)
			}
		})
	})
}
