package rediscache

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// A value in the store:
//
//	version | id of the key | seconds until it is over | nonce | ciphertext and tag
//
// What comes before the nonce, the full name of the Redis key and the kind of
// token are the associated data: a value opens only in the place for which it
// was sealed.
const (
	sealVersion = 1
	keyIDSize   = 4

	untilAt    = 1 + keyIDSize // scriptPut looks there, to drop the kind that ends first
	nonceAt    = untilAt + 4
	textAt     = nonceAt + chacha20poly1305.NonceSizeX
	sealedSize = textAt + chacha20poly1305.Overhead // beyond the text
)

// errUnreadable is a value that was not sealed by one of our keys for the place
// where it was found.
var errUnreadable = errors.New("unreadable value")

// sealer seals with the first of its keys and opens with all.
type sealer struct{ keys []sealKey }

type sealKey struct {
	id   [keyIDSize]byte
	aead func() cipher.AEAD // a func prints as an address; an AEAD would print its key
}

// newSealer is given keys of the right size.
func newSealer(keys []masked.String) (*sealer, error) {
	s := &sealer{}
	for _, masked := range keys {
		key := []byte(masked.Reveal())
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			return nil, err
		}
		k := sealKey{aead: func() cipher.AEAD { return aead }}
		sum := sha256.Sum256(append([]byte("caddy-huma key id\x00"), key...))
		copy(k.id[:], sum[:])
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// seal returns text sealed for a place: the name of a Redis key and a kind.
func (s *sealer) seal(text []byte, key, kind string, until time.Time) []byte {
	k := &s.keys[0]
	out := make([]byte, textAt, sealedSize+len(text))
	out[0] = sealVersion
	copy(out[1:], k.id[:])
	binary.BigEndian.PutUint32(out[untilAt:], seconds(until))
	_, _ = rand.Read(out[nonceAt:textAt]) // never fails
	return k.aead().Seal(out, out[nonceAt:textAt], text, place(out, key, kind))
}

// open returns the text that was sealed for a place.
func (s *sealer) open(value []byte, key, kind string) ([]byte, error) {
	if len(value) < sealedSize || value[0] != sealVersion {
		return nil, errUnreadable
	}
	var data []byte
	for i := range s.keys {
		k := &s.keys[i]
		if !bytes.Equal(k.id[:], value[1:untilAt]) {
			continue
		}
		if data == nil {
			data = place(value, key, kind)
		}
		if text, err := k.aead().Open(nil, value[nonceAt:textAt], value[textAt:], data); err == nil {
			return text, nil
		}
	}
	return nil, errUnreadable
}

// place is the associated data of a value. The length of the Redis key's name
// comes first, so that no two places run into one.
func place(value []byte, key, kind string) []byte {
	b := make([]byte, 0, nonceAt+4+len(key)+len(kind))
	b = append(b, value[:nonceAt]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	b = append(b, key...)
	return append(b, kind...)
}

// seconds is a time as it stands in a value: rough, in whole Unix seconds.
func seconds(t time.Time) uint32 {
	return uint32(max(0, min(t.Unix(), 1<<32-1)))
}
