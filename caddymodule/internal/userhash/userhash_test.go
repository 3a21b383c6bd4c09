package userhash

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestC12_PartsDoNotRunIntoEachOther checks that lists of parts whose concatenations are
// equal have different keys.
func TestC12_PartsDoNotRunIntoEachOther(t *testing.T) {
	key := []byte("key")
	lists := [][]string{
		{"a|b", "c"}, {"a", "b|c"}, {"a", "b", "c"}, {"abc"}, {"ab", "c"}, {"", "abc"}, {"abc", ""},
		{}, {""}, {"", ""}, {"a\x00b"}, {"a", "\x00b"},
	}
	seen := make(map[string][]string)
	for _, parts := range lists {
		k := hex.EncodeToString(DeriveKey(key, parts...))
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q are one key", parts, other)
		}
		seen[k] = parts
	}
	if bytes.Equal(DeriveKey(key, "a"), DeriveKey([]byte("other"), "a")) {
		t.Error("the key does not key")
	}
}
