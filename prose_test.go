package caddyhuma

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// unclear matches phrases that leave open who does what, or that nobody would search for.
// Name the client, the user, the operator, the auth server or the service instead, and use
// the words of the documentation of Go, Caddy and the RFCs.
var unclear = regexp.MustCompile(`(?i)\b(` + strings.Join([]string{
	`whoever`, `whichever way`, `somebody`, `who is asking`, `who asks`, `what there is`, `what is there`, `as far as`,
	`comes? of it`, `nobody's`, `is nobody`, `will do`, `the brake`, `the look\b`, `come into being`, `however many`,
	`simply`, `just works`, `obviously`, `of course`, `please note`, `note that`, `it should be noted`, `in order to`,
	`seamless(?:ly)?`, `robust(?:ly)?`, `powerful`, `leverages?`, `utili[sz]es?`, `blazing(?:ly)?`, `e-mail`, `whitelist`, `blacklist`,
}, "|") + `)\b`)

// TestProse checks that the documentation has none of the unclear phrases.
func TestProse(t *testing.T) {
	for name, text := range pages(t) {
		if strings.HasPrefix(name, ".github/") {
			continue
		}
		for _, line := range strings.Split(fence.ReplaceAllString(text, ""), "\n") {
			if found := unclear.FindString(line); found != "" {
				t.Errorf("%s: %q: find a clearer word: %s", name, found, strings.TrimSpace(line))
			}
		}
	}
}

// TestProseOfCode checks that comments and messages have none of the unclear phrases.
func TestProseOfCode(t *testing.T) {
	for _, name := range sources(t, ".go") {
		if name == "prose_test.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, line := range strings.Split(string(testutil.File(t, name)), "\n") {
			if found := unclear.FindString(line); found != "" {
				t.Errorf("%s: %q: find a clearer word: %s", name, found, strings.TrimSpace(line))
			}
		}
	}
}
