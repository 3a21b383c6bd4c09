// Package seal encrypts values for a store outside this process, so that who
// can read or write the store can neither read a value nor put one in another's
// place. The cipher is XChaCha20-Poly1305.
package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// KeySize is the length of a key in bytes.
const KeySize = chacha20poly1305.KeySize

// A sealed value:
//
//	version | id of the key | nonce | ciphertext and tag
//
// What comes before the nonce, the place and the kind are the associated data: a
// value opens only where it was sealed for.
const (
	version   = 1
	keyIDSize = 4

	nonceAt  = 1 + keyIDSize
	textAt   = nonceAt + chacha20poly1305.NonceSizeX
	overhead = textAt + chacha20poly1305.Overhead // beyond the text
)

// ErrUnreadable is returned for a value that was not sealed with one of the keys
// for the place where it was found.
var ErrUnreadable = errors.New("unreadable value")

// Sealer seals with the first of its keys and opens with all of them. It may be
// used by several goroutines at once.
type Sealer struct{ keys []key }

type key struct {
	id   [keyIDSize]byte
	aead func() cipher.AEAD // a func prints as an address; an AEAD would print its key
}

// New returns a Sealer. It needs at least one key, and fails if one is not of
// KeySize bytes.
func New(keys []masked.String) (*Sealer, error) {
	s := &Sealer{}
	for _, secret := range keys {
		bytes := []byte(secret.Reveal())
		aead, err := chacha20poly1305.NewX(bytes)
		if err != nil {
			return nil, err
		}
		k := key{aead: func() cipher.AEAD { return aead }}
		sum := sha256.Sum256(append([]byte("caddy-huma key id\x00"), bytes...))
		copy(k.id[:], sum[:])
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// KeyIDs returns what names the keys in values, in hexadecimal.
func (s *Sealer) KeyIDs() []string {
	var ids []string
	for _, k := range s.keys {
		ids = append(ids, hex.EncodeToString(k.id[:]))
	}
	return ids
}

// Seal returns text sealed for a place in the store, which is the name of an
// object and a kind of value in it.
func (s *Sealer) Seal(text []byte, name, kind string) []byte {
	k := &s.keys[0]
	out := make([]byte, textAt, overhead+len(text))
	out[0] = version
	copy(out[1:], k.id[:])
	_, _ = rand.Read(out[nonceAt:textAt]) // never fails
	return k.aead().Seal(out, out[nonceAt:textAt], text, associatedData(out, name, kind))
}

// Open returns the text that was sealed for a place, or ErrUnreadable.
func (s *Sealer) Open(value []byte, name, kind string) ([]byte, error) {
	if len(value) < overhead || value[0] != version {
		return nil, ErrUnreadable
	}
	var data []byte
	for i := range s.keys {
		k := &s.keys[i]
		if !bytes.Equal(k.id[:], value[1:nonceAt]) {
			continue
		}
		if data == nil {
			data = associatedData(value, name, kind)
		}
		if text, err := k.aead().Open(nil, value[nonceAt:textAt], value[textAt:], data); err == nil {
			return text, nil
		}
	}
	return nil, ErrUnreadable
}

// associatedData returns the associated data of a value. The length of the name comes
// first, so that no two places have the same.
func associatedData(value []byte, name, kind string) []byte {
	b := make([]byte, 0, nonceAt+4+len(name)+len(kind))
	b = append(b, value[:nonceAt]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	b = append(b, name...)
	return append(b, kind...)
}
