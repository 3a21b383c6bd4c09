package exchange

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestC08_LifetimesAreWhatIsLeftNow(t *testing.T) {
	issuedAt := time.Unix(1_800_000_000, 0)
	g := NewToken(issuedAt).
		Text("uid", "u\"1").
		Text("authToken", "t</script>\u2028").
		Lifetime("authTokenExpiresIn", time.Hour).
		Lifetime("unknown", 0).
		Lifetime("expiresIn", 2*time.Hour).
		Token()
	for after, want := range map[time.Duration][2]int{
		0:                             {3600, 7200},
		time.Millisecond:              {3599, 7199},
		10 * time.Minute:              {3000, 6600},
		time.Hour:                     {0, 3600},
		100 * time.Hour:               {0, 0},
		-time.Hour /* a clock set */ : {3600, 7200},
	} {
		var v map[string]any
		text := g.AppendJSON(nil, issuedAt.Add(after))
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for name, want := range map[string]any{
			"uid": "u\"1", "authToken": "t</script>\u2028", "unknown": 0.,
			"authTokenExpiresIn": float64(want[0]), "expiresIn": float64(want[1]),
		} {
			if v[name] != want {
				t.Errorf("after %s: %s is %v, want %v", after, name, v[name], want)
			}
		}
	}
}

func TestC09_LifetimesThatAreNoneAreAnsweredAsZero(t *testing.T) {
	for _, life := range []time.Duration{0, -time.Second, 11 * 365 * 24 * time.Hour, 1<<63 - 1} {
		g := NewToken(time.Now()).Lifetime("expiresIn", life).Token()
		if got := string(g.AppendJSON(nil, time.Now())); got != `{"expiresIn":0}` {
			t.Errorf("lifetime %s: %s", life, got)
		}
	}
}

// TestC14_ResponsesAreIndependent checks that a caller that changes its response does
// not change that of another caller.
func TestC14_ResponsesAreIndependent(t *testing.T) {
	g := NewToken(time.Now()).Text("a", "b").Token()
	first := g.AppendJSON(nil, time.Now())
	for i := range first {
		first[i] = 'x'
	}
	if got := string(g.AppendJSON(nil, time.Now())); got != `{"a":"b"}` {
		t.Errorf("second response %s", got)
	}
}

// tenth30 is the margin of Huma's tokens.
var tenth30 = (&Policy{Margin: 30 * time.Second, MarginPart: 10}).margin

// TestC09_CacheUntilMargin checks the margin of Human API's tokens: the last five
// minutes, which a short-lived token does not have.
func TestC09_CacheUntilMargin(t *testing.T) {
	issuedAt := time.Now()
	margin := (&Policy{Margin: 5 * time.Minute}).margin
	for life, want := range map[time.Duration]time.Duration{
		time.Hour:       55 * time.Minute,
		5 * time.Minute: 0,
		time.Minute:     -4 * time.Minute,
	} {
		if got := NewToken(issuedAt).Lifetime("x", life).Token().cacheUntil(margin).Sub(issuedAt); got != want {
			t.Errorf("lifetime %s: cached for %s, want %s", life, got, want)
		}
	}
}

func TestC09_KeepUntil(t *testing.T) {
	issuedAt := time.Now()
	for life, want := range map[time.Duration]time.Duration{
		time.Hour:                  time.Hour - 30*time.Second,
		10 * time.Minute:           10*time.Minute - 30*time.Second,
		30 * time.Second:           27 * time.Second,
		10 * time.Second:           9 * time.Second,
		0:                          -1,
		-5 * time.Second:           -1,
		20 * 365 * 24 * time.Hour:  -1,
		time.Duration(1<<63 - 1):   -1,
		3600500 * time.Millisecond: 3570 * time.Second,
	} {
		got := NewToken(issuedAt).Lifetime("x", life).Token().cacheUntil(tenth30)
		if want < 0 {
			if !got.IsZero() {
				t.Errorf("lifetime %s: cached until %s, want never", life, got)
			}
			continue
		}
		if d := got.Sub(issuedAt); d != want {
			t.Errorf("lifetime %s: cached for %s, want %s", life, d, want)
		}
	}
	shortest := NewToken(issuedAt).Lifetime("a", time.Hour).Lifetime("b", time.Minute).Token().cacheUntil(tenth30)
	if d := shortest.Sub(issuedAt); d != 54*time.Second {
		t.Errorf("cached for %s, want until the shortest lifetime's margin", d)
	}
}

// TestC09_UnknownLifetimeIsNotCached checks that another, known lifetime does not
// replace the token's own.
func TestC09_UnknownLifetimeIsNotCached(t *testing.T) {
	g := NewToken(time.Now()).Lifetime("authTokenExpiresIn", 0).Lifetime("expiresIn", time.Hour).Token()
	if until := g.cacheUntil(tenth30); !until.IsZero() {
		t.Errorf("cached until %s", until)
	}
	g = NewToken(time.Now()).Lifetime("authTokenExpiresIn", time.Hour).Lifetime("expiresIn", 0).Token()
	if until := g.cacheUntil(tenth30); until.IsZero() {
		t.Error("a token with a known lifetime is not cached")
	}
}

func TestGrantDoesNotPrint(t *testing.T) {
	g := NewToken(time.Now()).Text("authToken", "canary").Token()
	r := Result{Token: g}
	b, _ := json.Marshal(g)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, text := range []string{fmt.Sprintf(verb, g), fmt.Sprintf(verb, r), fmt.Sprintf(verb, &r), fmt.Sprintf(verb, Record{Token: g}), string(b)} {
			if strings.Contains(text, "canary") || strings.Contains(text, "63616e617279") {
				t.Errorf("%s shows the token: %s", verb, text)
			}
		}
	}
}
