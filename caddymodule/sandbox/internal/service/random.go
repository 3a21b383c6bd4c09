package service

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
)

// RandomBytes are n random bytes.
func RandomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return b
}

// RandomID is an id of so many random bytes.
func RandomID(bytes int) string { return hex.EncodeToString(RandomBytes(bytes)) }

// RandomToken is a random text that means nothing.
func RandomToken(bytes int) string {
	return base64.RawURLEncoding.EncodeToString(RandomBytes(bytes))
}
