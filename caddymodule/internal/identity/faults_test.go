package identity

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
)

func byHeader(t testing.TB) *Identifier {
	return mustNew(t, Config{Email: "remote-email", Trust: trustProxy()})
}

func byUser(t testing.TB) *Identifier {
	return mustNew(t, Config{Email: "{http.auth.user.email}"})
}

func TestI05_UntrustedPeer(t *testing.T) {
	early, done := &tls.ConnectionState{}, &tls.ConnectionState{HandshakeComplete: true}
	tests := map[string]struct {
		ranges  []string
		peer    string
		tls     *tls.ConnectionState
		trusted bool // by the server's trusted_proxies
		want    *Rejection
	}{
		"in range":                      {ranges: []string{"10.0.0.0/8"}, peer: "10.1.2.3:1", want: nil},
		"in the second range":           {ranges: []string{"192.0.2.0/24", "10.0.0.0/8"}, peer: "10.1.2.3:1", want: nil},
		"without a port":                {ranges: []string{"10.0.0.0/8"}, peer: "10.1.2.3", want: nil},
		"over TLS":                      {ranges: []string{"10.0.0.0/8"}, peer: "10.1.2.3:1", tls: done, want: nil},
		"IPv4 in IPv6":                  {ranges: []string{"10.0.0.0/8"}, peer: "[::ffff:10.1.2.3]:1", want: nil},
		"range of IPv4 in IPv6":         {ranges: []string{"::ffff:10.0.0.0/104"}, peer: "10.1.2.3:1", want: nil},
		"a zone":                        {ranges: []string{"fe80::/10"}, peer: "[fe80::1%eth0]:1", want: nil},
		"outside":                       {ranges: []string{"10.0.0.0/8"}, peer: untrustedPeer, want: ErrUntrustedPeer},
		"outside, server trusts it":     {ranges: []string{"10.0.0.0/8"}, peer: untrustedPeer, trusted: true, want: ErrUntrustedPeer},
		"all of IPv6 is not IPv4":       {ranges: []string{"::/0"}, peer: "10.1.2.3:1", want: ErrUntrustedPeer},
		"a Unix socket":                 {ranges: []string{"0.0.0.0/0"}, peer: "@", want: ErrUntrustedPeer},
		"no peer":                       {ranges: []string{"0.0.0.0/0"}, peer: "", want: ErrUntrustedPeer},
		"an address in a name":          {ranges: []string{"10.0.0.0/8"}, peer: "10.1.2.3.example.com:1", want: ErrUntrustedPeer},
		"early data":                    {ranges: []string{"10.0.0.0/8"}, peer: "10.1.2.3:1", tls: early, want: ErrEarlyData},
		"server's":                      {peer: untrustedPeer, trusted: true, want: nil},
		"server's, a Unix socket":       {peer: "@", trusted: true, want: nil},
		"server's, early data":          {peer: untrustedPeer, trusted: true, tls: early, want: ErrEarlyData},
		"neither ranges nor the server": {peer: untrustedPeer, want: ErrUntrustedPeer},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := mustNew(t, Config{Email: "Remote-Email", Name: "Remote-Name", Trust: Trust{Mode: TrustProxies, Ranges: ranges(t, tt.ranges...)}})
			r := &Request{Header: header("Remote-Email", "a@x.io", "Remote-Name", "Alice"), RemoteAddr: tt.peer, TLS: tt.tls, TrustedProxy: tt.trusted}
			if tt.want == nil {
				wantUser(t, i, r, "a@x.io")
				wantNames(t, i, r, "Alice", "")
				return
			}
			wantRejection(t, i, r, tt.want)
			wantNames(t, i, r, "", "")
			if tt.want.Reason != ReasonUntrusted {
				t.Fatalf("reason %s", tt.want.Reason)
			}
			r.Header.Add("Remote-Email", "b@x.io")
			wantRejection(t, i, r, tt.want)
			r.Header = http.Header{}
			wantRejection(t, i, r, ErrNoHeader)
		})
	}
}

func TestI07_UnsetPlaceholder(t *testing.T) {
	tests := map[string]struct {
		email string
		known placeholders
		want  *Rejection
	}{
		"no authentication":            {"{http.auth.user.email}", nil, ErrNoAuthentication},
		"no authentication, its id":    {"{http.auth.user.id}", nil, ErrNoAuthentication},
		"a candidate":                  {"{http.auth.user.id}", placeholders{"http.auth.candidate.id": "a@x.io"}, ErrNoAuthentication},
		"an authentication without it": {"{http.auth.user.email}", placeholders{"http.auth.user.id": "alice"}, ErrNoUserPlaceholder},
		"no map":                       {"{user_email}", nil, ErrUnset},
		"no proxy":                     {"{http.reverse_proxy.header.Remote-Email}", nil, ErrNoForwardAuth},
		"not in the response":          {"{http.reverse_proxy.header.Remote-Email}", respondedBy("a:1"), ErrNoResponseHeader},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := mustNew(t, Config{Email: tt.email})
			wantRejection(t, i, withPlaceholders(tt.known), tt.want)
			if tt.want.Reason != ReasonMissing {
				t.Fatalf("reason %s", tt.want.Reason)
			}
		})
	}
	// A value with the text of a placeholder is not an address.
	wantRejection(t, byUser(t), withPlaceholders(placeholders{"http.auth.user.email": "{http.auth.user.email}"}), ErrNotAddress)
	// The certificate's placeholders are not read without TLS.
	i := mustNew(t, Config{Email: "{http.request.tls.client.san.emails}", Name: "{http.request.tls.client.san.dns_names.0}"})
	r := withPlaceholders(placeholders{"http.request.tls.client.san.emails": "a@x.io", "http.request.tls.client.san.dns_names.0": "Alice"})
	wantRejection(t, i, r, ErrUnverifiedCertificate)
	wantNames(t, i, r, "", "")
}

func TestI15_AnotherProxyAfterTheAuthServer(t *testing.T) {
	i := mustNew(t, Config{Email: "Remote-Email", Name: "Remote-Name", Trust: Trust{Mode: TrustForwardAuth, Upstream: "authelia:9091"}})
	chosen := respondedBy("authelia:9091", "Remote-Email", "a@x.io", "Remote-Name", "Alice")
	wantNames(t, i, withPlaceholders(chosen), "Alice", "")
	wantNames(t, i, withPlaceholders(respondedBy("app:80", "Remote-Email", "a@x.io", "Remote-Name", "Alice")), "", "")
	for value, want := range map[any]*Rejection{"AUTHELIA:9091": nil, "authelia:90910": ErrWrongUpstream, "authelia": ErrWrongUpstream, "": ErrWrongUpstream, 9091: ErrWrongUpstream} {
		if chosen[upstreamHostPort] = value; want == nil {
			wantUser(t, i, withPlaceholders(chosen), "a@x.io")
			continue
		}
		wantRejection(t, i, withPlaceholders(chosen), want)
	}
	// A header of an unknown upstream is not from the auth server.
	wantRejection(t, i, withPlaceholders(placeholders{"http.reverse_proxy.header.Remote-Email": "a@x.io"}), ErrWrongUpstream)

	t.Run("another letter of the same fold", func(t *testing.T) { // the Kelvin sign is a K to strings.EqualFold
		i := mustNew(t, Config{Email: "Remote-Email", Trust: Trust{Mode: TrustForwardAuth, Upstream: "keycloak:80"}})
		wantRejection(t, i, withPlaceholders(respondedBy("\u212aeycloak:80", "Remote-Email", "a@x.io")), ErrWrongUpstream)
	})
	t.Run("socket", func(t *testing.T) { // paths differ by case
		for _, path := range []string{"/run/auth.sock", "/run/auth:1", "@auth"} {
			i := mustNew(t, Config{Email: "Remote-Email", Trust: Trust{Mode: TrustForwardAuth, Upstream: path}})
			wantUser(t, i, withPlaceholders(respondedBy(path, "Remote-Email", "a@x.io")), "a@x.io")
			wantRejection(t, i, withPlaceholders(respondedBy(strings.ToUpper(path), "Remote-Email", "a@x.io")), ErrWrongUpstream)
		}
	})
}

// TestI16_NotOneText checks values that handlers can set in JSON, and others that only one
// in Go can.
func TestI16_NotOneText(t *testing.T) {
	type named string
	i := mustNew(t, Config{Email: "{user_email}"})
	for _, value := range []any{
		7, true, []any{"a@x.io", "a@x.io"}, []any{7}, []any{[]any{"a@x.io"}},
		7.5, []byte("a@x.io"), ReasonMissing, named("a@x.io"), ErrNoHeader,
	} {
		wantRejection(t, i, withPlaceholders(placeholders{"user_email": value}), ErrNotText)
	}
	wantUser(t, i, withPlaceholders(placeholders{"user_email": []string{"a@x.io"}}), "a@x.io")
}

// TestI05_EachPeerIsChecked checks that each peer is checked anew: a trusted peer does
// not make another one with the same port trusted, nor the reverse.
func TestI05_EachPeerIsChecked(t *testing.T) {
	i := byHeader(t)
	for range 3 {
		for _, peer := range []string{proxyPeer, "10.1.2.3:9911", "10.9.9.9:4711"} {
			r := fromProxy("Remote-Email", "a@x.io")
			r.RemoteAddr = peer
			wantUser(t, i, r, "a@x.io")
		}
		for _, peer := range []string{untrustedPeer, "203.0.113.9:9911", "10.1.2.3:4711x", "10.1.2.3", "11", "1", "", "@"} {
			r := fromProxy("Remote-Email", "a@x.io")
			r.RemoteAddr = peer
			if peer == "10.1.2.3" { // a trusted peer, without a port
				wantUser(t, i, r, "a@x.io")
				continue
			}
			wantRejection(t, i, r, ErrUntrustedPeer)
		}
	}
}
