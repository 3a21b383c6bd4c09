package suggest_test

import (
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

func TestClosest(t *testing.T) {
	names := []string{"ca", "cache", "client_id", "client_type", "domain", "domains", "google_iap", "no_cache", "secret", "web"}
	for word, want := range map[string]string{
		"secrets":      "secret",
		"scret":        "secret",
		"secert":       "secret", // swapped
		"SECRET":       "secret",
		"client-id":    "client_id",
		"clientid":     "client_id",
		"domian":       "domain",
		"domainss":     "domains",
		"google":       "google_iap",
		"client":       "", // begins two names
		"colour":       "",
		"x":            "",
		"":             "",
		"go":           "",
		"webb":         "web",
		"private/huma": "",
	} {
		if got := suggest.Closest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := suggest.DidYouMean("scret", names); got != " (did you mean 'secret'?)" {
		t.Errorf("%q", got)
	}
	if got := suggest.DidYouMean("colour", names); got != "" {
		t.Errorf("%q", got)
	}
}
