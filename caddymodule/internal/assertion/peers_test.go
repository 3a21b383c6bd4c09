package assertion

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TestK4_OnePeer checks that a peer that invents key IDs does not prevent the keys of
// other peers from being fetched, and that it gets no definite response once it is
// throttled.
func TestK4_OnePeer(t *testing.T) {
	v, s := awsVerifier(t)
	rotated := uuid(7777777)
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys/"+rotated {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(pemOf(p256())))
	})
	start, results := time.Now(), make(map[error]int)
	for i := range 4500 {
		_, err := v.Verify(t.Context(), withKid(awsToken(nil, nil), uuid(i)), "192.0.2.1:"+fmt.Sprint(1000+i))
		results[err]++
	}
	most := peerBurst + 1 + int(time.Since(start)/peerEvery)
	if n := results[identity.ErrAssertionKey]; n < peerBurst || n > most || n+results[identity.ErrKeysRateLimited] != 4500 {
		t.Errorf("got %v, want at most %d fetches", results, most)
	}
	if doc, err := v.Verify(t.Context(), awsToken(object{"kid": rotated}, nil), "192.0.2.2:1000"); err != nil || doc.Map() == nil {
		t.Errorf("the rotated key: %v", err)
	}
	// The peer itself can use keys that are known.
	if _, err := v.Verify(t.Context(), awsToken(object{"kid": rotated}, nil), "192.0.2.1:1000"); err != nil {
		t.Errorf("a known key: %v", err)
	}
}

// TestK4_Throttled checks that an unknown ID is not fetched again for a moment, and that
// the response then is 503 while the peer is throttled.
func TestK4_Throttled(t *testing.T) {
	v, s := awsVerifier(t)
	token := withKid(awsToken(nil, nil), uuid(1))
	for range peerBurst {
		reject(t, v, token, identity.ErrAssertionKey)
	}
	v.keys.peers[peerOf("")].SetLimit(0)
	hits := s.hits.Load()
	reject(t, v, token, identity.ErrAssertionKey)
	reject(t, v, withKid(token, uuid(2)), identity.ErrKeysRateLimited)
	v.keys.byID[uuid(1)].older(MinInterval)
	reject(t, v, token, identity.ErrKeysRateLimited)
	s.wantHits(t, hits)
}

func TestPeerOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1/32", "[::ffff:192.0.2.1]:80": "192.0.2.1/32", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "": "invalid Prefix", "@": "invalid Prefix", "192.0.2.1": "invalid Prefix",
	} {
		if got := peerOf(addr).String(); got != want {
			t.Errorf("%q: got %s, want %s", addr, got, want)
		}
	}
}

func TestPeerLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := make(peerLimits)
		peer := func(i int) string { return fmt.Sprintf("10.0.%d.%d:1", i/256, i%256) }
		for i := range 2 * maxPeers {
			if !p.allow(peer(i), time.Now()) {
				t.Fatalf("peer %d is throttled", i)
			}
		}
		for range peerBurst {
			p.allow(peer(0), time.Now())
		}
		if len(p) != maxPeers || p.allow(peer(0), time.Now()) {
			t.Errorf("%d peers", len(p))
		}
		time.Sleep(peerEvery)
		if !p.allow(peer(2*maxPeers), time.Now()) || len(p) != 2 {
			t.Errorf("%d peers after the others were idle", len(p))
		}
	})
}
