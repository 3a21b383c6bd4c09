package service

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
)

// RandomBytes returns n random bytes.
func RandomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never returns an error
	return b
}

// RandomID returns the given number of random bytes in hexadecimal.
func RandomID(bytes int) string { return hex.EncodeToString(RandomBytes(bytes)) }

// RandomToken returns the given number of random bytes in unpadded base64url.
func RandomToken(bytes int) string {
	return base64.RawURLEncoding.EncodeToString(RandomBytes(bytes))
}
