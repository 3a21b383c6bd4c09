// Package userhash names users by keyed hashes, in caches and in logs.
package userhash

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// ProcessKey keys every hash that is not to be compared outside this process.
var ProcessKey = func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return key
}()

// DeriveKey makes a key of its own from another one and from parts. Every part is
// preceded by its length, so that no two lists of parts run into one.
func DeriveKey(key []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}

// Hasher names users by a keyed hash, from which no address can be read.
// It keeps its hash states, so that a name costs one allocation.
type Hasher struct{ states sync.Pool }

type hashState struct {
	mac hash.Hash
	in  []byte
	out [sha256.Size]byte
}

// New returns a Hasher with the given key.
func New(key []byte) *Hasher {
	return &Hasher{states: sync.Pool{New: func() any {
		return &hashState{mac: hmac.New(sha256.New, key)}
	}}}
}

// ForLogs names users in logs: with the option hash_key in the same way in
// every process, without it only within this one.
func ForLogs(hashKey masked.String) *Hasher {
	key := ProcessKey
	if !hashKey.IsZero() {
		key = []byte(hashKey.Reveal())
	}
	return New(DeriveKey(key, "log"))
}

// CacheKey names a user in caches. Addresses that differ in the case of ASCII
// letters alone are one user.
func (h *Hasher) CacheKey(u identity.User) exchange.UserKey {
	s := h.states.Get().(*hashState)
	defer h.states.Put(s)
	return exchange.UserKey(s.sum(u))
}

// LogName names a user in logs: 8 hex digits.
func (h *Hasher) LogName(u identity.User) string {
	s := h.states.Get().(*hashState)
	defer h.states.Put(s)
	return hex.EncodeToString(s.sum(u)[:4])
}

func (s *hashState) sum(u identity.User) []byte {
	s.mac.Reset()
	s.in = u.AppendKey(s.in[:0])
	s.mac.Write(s.in)
	return s.mac.Sum(s.out[:0])
}
