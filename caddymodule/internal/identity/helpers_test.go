package identity

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// placeholders is a Replacer with the placeholders in the map. nil has none.
type placeholders map[string]any

func (p placeholders) Get(name string) (any, bool) {
	value, known := p[name]
	return value, known
}

// Addresses of peers. The proxy's is in the ranges that the tests trust.
const (
	proxyPeer     = "10.1.2.3:4711"
	untrustedPeer = "203.0.113.9:4711"
)

func ranges(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	var ps []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

// trustProxy trusts the range of proxyPeer.
func trustProxy() Trust {
	return Trust{Mode: TrustProxies, Ranges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
}

func mustNew(t testing.TB, c Config) *Identifier {
	t.Helper()
	i, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// header builds a header from pairs. A repeated name becomes a repeated line.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for n := 0; n < len(pairs); n += 2 {
		h.Add(pairs[n], pairs[n+1])
	}
	return h
}

// fromProxy returns a request with this header from the trusted proxy.
func fromProxy(pairs ...string) *Request {
	return &Request{Header: header(pairs...), Placeholders: placeholders{}, RemoteAddr: proxyPeer}
}

// withPlaceholders returns a request with placeholders, from an untrusted peer.
func withPlaceholders(p placeholders) *Request {
	return &Request{Header: http.Header{}, Placeholders: p, RemoteAddr: untrustedPeer}
}

// respondedBy returns the placeholders that a proxy sets after its upstream responded.
func respondedBy(by string, pairs ...string) placeholders {
	p := placeholders{
		"http.reverse_proxy.status_code":       200,
		"http.reverse_proxy.upstream.hostport": by,
	}
	for n := 0; n < len(pairs); n += 2 {
		p["http.reverse_proxy.header."+pairs[n]] = pairs[n+1]
	}
	return p
}

// wantUser fails unless Identify returns a user with this address.
func wantUser(t *testing.T, i *Identifier, r *Request, email string) User {
	t.Helper()
	u, err := i.Identify(context.Background(), r)
	if err != nil {
		t.Fatalf("rejected: %v", err)
	}
	if got := u.Email.Reveal(); got != email {
		t.Fatalf("email %q, want %q", got, email)
	}
	return u
}

// wantRejection fails unless the request is rejected with want.
func wantRejection(t *testing.T, i *Identifier, r *Request, want *Rejection) {
	t.Helper()
	u, err := i.Identify(context.Background(), r)
	var got *Rejection
	if err == nil || !errors.As(err, &got) {
		t.Fatalf("user %q, error %v; want %v", u.Email.Reveal(), err, want)
	}
	if got != want {
		t.Fatalf("rejected with %v, want %v", got, want)
	}
	if u != (User{}) {
		t.Fatalf("a user and a rejection: %q", u.Email.Reveal())
	}
}

// wantNames fails unless Names returns these names.
func wantNames(t *testing.T, i *Identifier, r *Request, first, last string) {
	t.Helper()
	f, l := i.Names(context.Background(), r)
	if f.Reveal() != first || l.Reveal() != last {
		t.Fatalf("names %q, %q; want %q, %q", f.Reveal(), l.Reveal(), first, last)
	}
}
