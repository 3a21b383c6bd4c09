// Package seal encrypts values for a store outside this process, so that an attacker
// with access to the store can neither read a value nor move it to another place. The
// cipher is XChaCha20-Poly1305.
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
// The associated data are the bytes before the nonce, the name and the field. So a value
// can be opened only in the place for which it was sealed.
const (
	version   = 1
	keyIDSize = 4

	nonceAt  = 1 + keyIDSize
	textAt   = nonceAt + chacha20poly1305.NonceSizeX
	overhead = textAt + chacha20poly1305.Overhead // length of a sealed value without the text
)

// ErrUnreadable is returned for a value that was not sealed with one of the keys for
// the place where it was found.
var ErrUnreadable = errors.New("cannot decrypt value")

// Sealer seals with the first of its keys and opens with all of them. It may be used by
// several goroutines at once.
type Sealer struct{ keys []key }

type key struct {
	id   [keyIDSize]byte
	aead func() cipher.AEAD // a func prints as an address; an AEAD would print its key
}

// New returns a Sealer. It fails if a key does not have KeySize bytes. Seal needs at
// least one key.
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

// KeyIDs returns the ids of the keys as they are in sealed values, in hexadecimal.
func (s *Sealer) KeyIDs() []string {
	var ids []string
	for _, k := range s.keys {
		ids = append(ids, hex.EncodeToString(k.id[:]))
	}
	return ids
}

// Seal returns text sealed for a place in the store: the name of an object, and a
// field of it.
func (s *Sealer) Seal(text []byte, name, field string) []byte {
	k := &s.keys[0]
	out := make([]byte, textAt, overhead+len(text))
	out[0] = version
	copy(out[1:], k.id[:])
	_, _ = rand.Read(out[nonceAt:textAt]) // never fails
	return k.aead().Seal(out, out[nonceAt:textAt], text, associatedData(out, name, field))
}

// Open returns the text that was sealed for a place, or ErrUnreadable.
func (s *Sealer) Open(value []byte, name, field string) ([]byte, error) {
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
			data = associatedData(value, name, field)
		}
		if text, err := k.aead().Open(nil, value[nonceAt:textAt], value[textAt:], data); err == nil {
			return text, nil
		}
	}
	return nil, ErrUnreadable
}

// associatedData returns the associated data of a value. The length of the name comes
// before it, so that two places never have the same data.
func associatedData(value []byte, name, field string) []byte {
	b := make([]byte, 0, nonceAt+4+len(name)+len(field))
	b = append(b, value[:nonceAt]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	b = append(b, name...)
	return append(b, field...)
}
