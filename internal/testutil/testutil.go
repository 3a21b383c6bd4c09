// Package testutil holds the helpers that the tests of several packages share:
// waiting, loopback servers that answer or fail as told, certificates and keys,
// and checks that no secret is shown.
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

// Eventually polls condition every 5 ms and fails the test if it does not become
// true within a time. what describes the condition in the failure.
func Eventually(t testing.TB, within time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// Must returns v. It panics if err is not nil: for what fails only if the machine
// does, and where there is no test to fail yet.
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

// WriteFile writes a file that ends with the test and returns its path.
func WriteFile(t testing.TB, name, text string) string {
	t.Helper()
	return writeFile(t.TempDir(), name, []byte(text))
}

// As returns the error of type T that is, or is wrapped in, err. It fails the test
// if there is none.
func As[T error](t testing.TB, err error) (e T) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want a %T", err, err, e)
	}
	return e
}

// NoSecrets fails the test if v shows one of the secrets, as text or in
// hexadecimals, however it is printed or written as JSON. If v is an error, all
// errors that it wraps are looked at too.
func NoSecrets(t testing.TB, v any, secrets ...string) {
	t.Helper()
	asJSON, _ := json.Marshal(v) // what has no JSON form shows nothing in it
	texts := []string{string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		texts = append(texts, fmt.Sprintf(verb, v))
	}
	for _, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%T shows %q: %s", v, secret, text)
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
