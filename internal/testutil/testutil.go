// Package testutil has test helpers that several packages share: polling, loopback
// servers, certificates and keys, and a check that secrets are not printed.
package testutil

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Eventually polls condition every 5 ms. It fails the test if the condition is not true
// within the given time. description describes the condition in the message.
func Eventually(t testing.TB, within time.Duration, description string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, description)
		}
	}
}

// Must returns v. It panics if err is not nil. Use it for operations that do not
// normally fail, where no testing.TB is available.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// File returns the content of a file.
func File(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// WriteFile writes a file in a temporary directory of the test and returns its path.
func WriteFile(t testing.TB, name, text string) string {
	t.Helper()
	return writeFile(t.TempDir(), name, []byte(text))
}

// As is errors.As that returns the error of type T. It fails the test if there is none.
func As[T error](t testing.TB, err error) (e T) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a %T", err, err, e)
	}
	return e
}

// NoSecrets fails the test if v, printed with any verb of fmt or as JSON, contains one
// of the secrets as text or in hexadecimal. If v is an error, the errors that it wraps
// are checked, too.
func NoSecrets(t testing.TB, v any, secrets ...string) {
	t.Helper()
	asJSON, _ := json.Marshal(v) // empty if v cannot be marshaled
	texts := []string{string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		texts = append(texts, fmt.Sprintf(verb, v))
	}
	for _, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%T contains %q: %s", v, secret, text)
			}
		}
	}
	switch e := v.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			NoSecrets(t, inner, secrets...)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			NoSecrets(t, inner, secrets...)
		}
	}
}

// Recorder collects values from any number of goroutines. The zero value is
// empty and ready to use.
type Recorder[T any] struct {
	mu     sync.Mutex
	values []T
}

// Add appends a value.
func (r *Recorder[T]) Add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = append(r.values, v)
}

// All returns a copy of the values in the order in which they were added.
func (r *Recorder[T]) All() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.values)
}
