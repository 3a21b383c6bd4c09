package seal

import (
	"bytes"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

func keyOf(n byte) masked.String { return masked.New(strings.Repeat(string(rune(n)), KeySize)) }

func TestSealedIsTiedToItsPlace(t *testing.T) {
	s, err := New([]masked.String{keyOf(1), keyOf(2)})
	if err != nil {
		t.Fatal(err)
	}
	v := s.Seal([]byte("text"), "key", "kind")
	if got, err := s.Open(v, "key", "kind"); err != nil || string(got) != "text" {
		t.Fatalf("open = %q, %v", got, err)
	}
	for _, place := range [][2]string{{"key", "kin"}, {"keyk", "ind"}, {"ke", "ykind"}, {"", "keykind"}, {"key", ""}} {
		if got, err := s.Open(v, place[0], place[1]); err == nil {
			t.Errorf("opened as %q: %q", place, got)
		}
	}
	if bytes.Equal(v, s.Seal([]byte("text"), "key", "kind")) {
		t.Error("sealed twice with one nonce")
	}
}

func FuzzOpen(f *testing.F) {
	s, err := New([]masked.String{keyOf(1), keyOf(2)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Seal([]byte("text"), "key", "kind"), "key", "kind")
	f.Add([]byte{}, "", "")
	f.Fuzz(func(t *testing.T, value []byte, key, kind string) {
		if text, err := s.Open(value, key, kind); err == nil && string(text) != "text" {
			t.Errorf("opened: %q", text)
		}
		v := s.Seal(value, key, kind)
		if text, err := s.Open(v, key, kind); err != nil || !bytes.Equal(text, value) {
			t.Errorf("not what was sealed: %q, %v", text, err)
		}
		if _, err := s.Open(v, key+"x", kind); err == nil {
			t.Error("opened elsewhere")
		}
	})
}
