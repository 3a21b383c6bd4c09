package identity

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func byHeader(t testing.TB) *Identifier {
	return mustNew(t, Config{Email: "remote-email", Trust: trustProxy()})
}

func byUser(t testing.TB) *Identifier {
	return mustNew(t, Config{Email: "{http.auth.user.email}"})
}

func TestI01_NoValue(t *testing.T) {
	wantRejection(t, byHeader(t), fromProxy(), ErrNoHeader)
	for _, blank := range []string{"", " ", " \t ", "\u3000"} {
		wantRejection(t, byHeader(t), fromProxy("Remote-Email", blank), ErrEmpty)
		wantRejection(t, byUser(t), withPlaceholders(placeholders{"http.auth.user.email": blank}), ErrEmpty)
	}
	for name, empty := range map[string]any{
		"nil": nil, "no texts": []string{}, "no values": []any{}, "one empty": []string{""}, "one nil": []any{nil},
	} {
		t.Run(name, func(t *testing.T) {
			wantRejection(t, byUser(t), withPlaceholders(placeholders{"http.auth.user.email": empty}), ErrEmpty)
		})
	}
}

func TestI02_NotExactlyOnce(t *testing.T) {
	tests := map[string]struct {
		lines string
		want  *Rejection
	}{
		"two lines":              {"Remote-Email: a@x.io\r\nRemote-Email: b@x.io\r\n", ErrDuplicateHeader},
		"two same lines":         {"Remote-Email: a@x.io\r\nRemote-Email: a@x.io\r\n", ErrDuplicateHeader},
		"two spellings":          {"Remote-Email: a@x.io\r\nREMOTE-EMAIL: b@x.io\r\n", ErrDuplicateHeader},
		"joined by a comma":      {"Remote-Email: a@x.io, b@x.io\r\n", ErrNotAddress},
		"joined without a space": {"Remote-Email: a@x.io,b@x.io\r\n", ErrNotAddress},
		"first empty":            {"Remote-Email:\r\nRemote-Email: b@x.io\r\n", ErrDuplicateHeader},
		"second empty":           {"Remote-Email: a@x.io\r\nRemote-Email:\r\n", ErrDuplicateHeader},
		"split by a bare LF":     {"Remote-Email: a@x.io\nRemote-Email: b@x.io\r\n", ErrDuplicateHeader},
		"folded":                 {"Remote-Email: a@x.io\r\n b@x.io\r\n", ErrNotAddress},
		"folded within":          {"Remote-Email: a@x\r\n .io\r\n", ErrNotAddress},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			raw := "GET / HTTP/1.1\r\nHost: x\r\n" + tt.lines + "\r\n"
			hr, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			wantRejection(t, byHeader(t), &Request{Header: hr.Header, RemoteAddr: proxyPeer}, tt.want)
		})
	}
	t.Run("lines joined by forward_auth", func(t *testing.T) {
		i := mustNew(t, Config{Email: "Remote-Email", Trust: Trust{Mode: TrustForwardAuth}})
		wantRejection(t, i, withPlaceholders(respondedBy("a:1", "Remote-Email", "a@x.io,b@x.io")), ErrNotAddress)
		wantRejection(t, i, withPlaceholders(respondedBy("a:1", "Remote-Email", ",b@x.io")), ErrNotAddress)
	})
}

func TestI03_OtherSpellings(t *testing.T) {
	i := mustNew(t, Config{Email: "X-Forwarded-Email", Trust: trustProxy()})
	for _, name := range []string{
		"X_Forwarded_Email", "X.Forwarded.Email", "X-Forwarded_Email", "X_forwarded.email", "x-forwarded-email",
		"X-FORWARDED-EMAIL", "X-Forwarded-Email ", "X-Forwarded-Email\x00", "X-Forwarded-Emai\u217c",
	} {
		// The key is set in the map directly, so it is not canonical.
		r := &Request{Header: http.Header{name: {"evil@x.io"}}, RemoteAddr: proxyPeer}
		wantRejection(t, i, r, ErrNoHeader)
		r.Header["X-Forwarded-Email"] = []string{"a@x.io"}
		wantUser(t, i, r, "a@x.io")
	}
}

func TestI04_ResponseWithoutAddress(t *testing.T) {
	for name, email := range map[string]string{"header": "Remote-Email", "as placeholder": "{http.request.header.remote-email}"} {
		t.Run(name, func(t *testing.T) {
			i := mustNew(t, Config{Email: email, Trust: Trust{Mode: TrustForwardAuth}})
			r := withPlaceholders(respondedBy("authelia:9091", "Remote-User", "alice"))
			r.Header = header("Remote-Email", "evil@x.io")
			r.Placeholders.(placeholders)["http.request.header.Remote-Email"] = "evil@x.io"
			r.RemoteAddr, r.TrustedProxy = proxyPeer, true
			wantRejection(t, i, r, ErrNoResponseHeader)

			r.Placeholders = respondedBy("authelia:9091", "Remote-Email", "")
			wantRejection(t, i, r, ErrEmpty)
			r.Placeholders = respondedBy("authelia:9091", "Remote-Email", "a@x.io")
			wantUser(t, i, r, "a@x.io")
			r.Placeholders = placeholders{}
			wantRejection(t, i, r, ErrNoForwardAuth)
			r.Placeholders = nil
			wantRejection(t, i, r, ErrNoForwardAuth)
		})
	}
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
}

func TestI08_PlaceholderInValue(t *testing.T) {
	known := placeholders{"env.SECRET": "s3cr3t", "file./etc/passwd": "s3cr3t"}
	for _, value := range []string{"{env.SECRET}@x.io", "{file./etc/passwd}", "a@{env.SECRET}", "{env.SECRET"} {
		known["http.auth.user.email"] = value
		known["http.auth.user.name"] = value
		i := mustNew(t, Config{Email: "{http.auth.user.email}", Name: "{http.auth.user.name}"})
		wantRejection(t, i, withPlaceholders(known), ErrNotAddress)
		wantNames(t, i, withPlaceholders(known), value, "")

		r := fromProxy("Remote-Email", value)
		r.Placeholders = known
		wantRejection(t, byHeader(t), r, ErrNotAddress)
	}
}

func TestI14_UnverifiedCertificate(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "test")
	alice := issue(ca, "alice@x.io")
	selfSigned := issue(testutil.NewAuthority(t.TempDir(), "test"), "alice@x.io")
	tests := map[string]struct {
		auth   tls.ClientAuthType
		client *tls.Certificate
		want   *Rejection
	}{
		"verified":                       {tls.RequireAndVerifyClientCert, alice, nil},
		"verified as it was given":       {tls.VerifyClientCertIfGiven, alice, nil},
		"requested, self-signed":         {tls.RequestClientCert, selfSigned, ErrUnverifiedCertificate},
		"requested, signed, unverified":  {tls.RequestClientCert, alice, ErrUnverifiedCertificate},
		"required, self-signed":          {tls.RequireAnyClientCert, selfSigned, ErrUnverifiedCertificate},
		"requested, none":                {tls.RequestClientCert, nil, ErrUnverifiedCertificate},
		"verified if given, but is none": {tls.VerifyClientCertIfGiven, nil, ErrUnverifiedCertificate},
		"not requested":                  {tls.NoClientCert, alice, ErrUnverifiedCertificate},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := mustNew(t, Config{Email: "{http.request.tls.client.san.emails}", Name: "{http.request.tls.client.san.dns_names.0}"})
			state := handshake(t, ca, tt.auth, tt.client)
			var emails []string
			if len(state.PeerCertificates) > 0 {
				emails = state.PeerCertificates[0].EmailAddresses
			}
			r := withPlaceholders(placeholders{"http.request.tls.client.san.emails": emails, "http.request.tls.client.san.dns_names.0": "Alice"})
			r.TLS = state
			if tt.want == nil {
				wantUser(t, i, r, "alice@x.io")
				wantNames(t, i, r, "Alice", "")
				return
			}
			wantRejection(t, i, r, tt.want)
			wantNames(t, i, r, "", "")
		})
	}
	t.Run("without TLS", func(t *testing.T) {
		i := mustNew(t, Config{Email: "{http.request.tls.client.san.emails}"})
		wantRejection(t, i, withPlaceholders(placeholders{"http.request.tls.client.san.emails": "a@x.io"}), ErrUnverifiedCertificate)
	})
}

func TestI15_AnotherProxyAfterTheAuthServer(t *testing.T) {
	forged := header("Remote-Email", "evil@x.io")
	anyUpstream := mustNew(t, Config{Email: "Remote-Email", Trust: Trust{Mode: TrustForwardAuth}})
	// The second proxy replaces the headers of the first one's response, so its own are
	// read.
	wantUser(t, anyUpstream, &Request{Header: forged, Placeholders: respondedBy("app:80", "Remote-Email", "a@x.io")}, "a@x.io")
	wantRejection(t, anyUpstream, &Request{Header: forged, Placeholders: respondedBy("app:80")}, ErrNoResponseHeader)

	for name, email := range map[string]string{"header": "Remote-Email", "placeholder": "{http.reverse_proxy.header.remote-email}"} {
		t.Run(name, func(t *testing.T) {
			i := mustNew(t, Config{Email: email, Name: "Remote-Name", Trust: Trust{Mode: TrustForwardAuth, Upstream: "authelia:9091"}})
			right := &Request{Header: forged, Placeholders: respondedBy("authelia:9091", "Remote-Email", "a@x.io", "Remote-Name", "Alice")}
			wantUser(t, i, right, "a@x.io")
			wantNames(t, i, right, "Alice", "")
			wrong := &Request{Header: forged, Placeholders: respondedBy("app:80", "Remote-Email", "a@x.io", "Remote-Name", "Alice")}
			wantRejection(t, i, wrong, ErrWrongUpstream)
			wantNames(t, i, wrong, "", "")
			wantRejection(t, i, &Request{Header: forged, Placeholders: respondedBy("app:80")}, ErrWrongUpstream)
			wantRejection(t, i, &Request{Header: forged, Placeholders: respondedBy("authelia:9091")}, ErrNoResponseHeader)
			wantRejection(t, i, &Request{Header: forged, Placeholders: placeholders{}}, ErrNoForwardAuth)
			other := respondedBy("authelia:9091", "Remote-Email", "a@x.io")
			for value, want := range map[any]*Rejection{"AUTHELIA:9091": nil, "authelia:90910": ErrWrongUpstream, "authelia": ErrWrongUpstream, "": ErrWrongUpstream, 9091: ErrWrongUpstream} {
				if other[upstreamHostPort] = value; want == nil {
					wantUser(t, i, withPlaceholders(other), "a@x.io")
					continue
				}
				wantRejection(t, i, withPlaceholders(other), want)
			}
			// A header of an unknown upstream is not from the auth server.
			wantRejection(t, i, &Request{Placeholders: placeholders{"http.reverse_proxy.header.Remote-Email": "a@x.io"}}, ErrWrongUpstream)
		})
	}
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

func TestI16_NotOneText(t *testing.T) {
	type named string
	for _, tt := range []struct {
		name  string
		value any
		want  *Rejection
	}{
		{"a map that misses", nil, ErrEmpty},
		{"a number", 7, ErrNotText},
		{"a float", 7.5, ErrNotText},
		{"a bool", true, ErrNotText},
		{"a list of two", []string{"a@x.io", "b@x.io"}, ErrNotText},
		{"a list of two same", []any{"a@x.io", "a@x.io"}, ErrNotText},
		{"a list of a number", []any{7}, ErrNotText},
		{"a list of a list", []any{[]any{"a@x.io"}}, ErrNotText},
		{"bytes", []byte("a@x.io"), ErrNotText},
		{"a Stringer", ReasonMissing, ErrNotText},
		{"another text", named("a@x.io"), ErrNotText},
		{"an error", ErrNoHeader, ErrNotText},
		{"a map", map[string]any{"email": "a@x.io"}, ErrNotText},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := mustNew(t, Config{Email: "{user_email}"})
			wantRejection(t, i, withPlaceholders(placeholders{"user_email": tt.value}), tt.want)
		})
	}
	i := mustNew(t, Config{Email: "{user_email}"})
	wantUser(t, i, withPlaceholders(placeholders{"user_email": []string{"a@x.io"}}), "a@x.io")
	wantUser(t, i, withPlaceholders(placeholders{"user_email": []any{"a@x.io"}}), "a@x.io")
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
