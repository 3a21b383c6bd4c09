// Package storetest has the tests that every store must pass. It uses nothing of any
// store's package.
package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// Run tests a Store. newStore returns an empty Store with room for at least 1,000
// users.
func Run(t *testing.T, newStore func(t *testing.T) exchange.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s exchange.Store)
	}{
		{"a miss is a value", storeMiss},
		{"what was put is got", storePutGet},
		{"a refusal is kept, too", storeRefusal},
		{"users and variants are separate", storeApart},
		{"keys are any bytes", storeKeys},
		{"the last put wins", storeReplace},
		{"a longer one does not come back", storeNoResurrection},
		{"what is over is not got", storeExpiry},
		{"what is not in the future is not kept", storePast},
		{"what cannot be kept replaces all the same", storePastReplaces},
		{"Evict removes all variants of one user only", storeForget},
		{"EvictTokens removes the tokens of one user only", storeForgetTokens},
		{"flush drops everything", storeFlush},
		{"concurrent users get their own tokens", storeContention},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore(t)) })
	}
}

// NewToken returns a Token with the given token as its text.
func NewToken(token string) *exchange.Token {
	return exchange.NewToken(time.Now()).Text("authToken", token).Token()
}

// RecordOf returns a Record of NewToken that is valid for life.
func RecordOf(token string, life time.Duration) exchange.Record {
	return exchange.Record{Token: NewToken(token), Until: time.Now().Add(life)}
}

// TokenOf returns the token of a Record made by RecordOf, or "" if there is no Token.
func TokenOf(r exchange.Record) string {
	if r.Token == nil {
		return ""
	}
	text := string(r.Token.AppendJSON(nil, time.Now()))
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"authToken":"`), `"}`)
}

// WantToken reports an error unless the store returns the token; "" means a miss.
func WantToken(t *testing.T, s exchange.Store, user exchange.UserKey, variant exchange.Variant, token string) {
	t.Helper()
	r, ok := s.Get(user, variant, time.Now())
	if ok != (token != "") || TokenOf(r) != token {
		t.Errorf("Get(%q, %q) = %q, %v; want %q", user, variant, TokenOf(r), ok, token)
	}
}

func storeMiss(t *testing.T, s exchange.Store) {
	if r, ok := s.Get("u", "ios", time.Now()); ok || r != (exchange.Record{}) {
		t.Errorf("Get = %v, %v; want a miss", r, ok)
	}
	s.Evict("u")
	s.Flush()
	WantToken(t, s, "u", "ios", "")
}

func storePutGet(t *testing.T, s exchange.Store) {
	want := RecordOf("t", time.Minute)
	s.Put("u", "ios", want)
	r, ok := s.Get("u", "ios", time.Now())
	if !ok || TokenOf(r) != "t" || r.Err != nil {
		t.Fatalf("Get = %q, %v, %v", TokenOf(r), r.Err, ok)
	}
	if d := want.Until.Sub(r.Until); d < 0 || d > time.Second {
		t.Errorf("Until is %v before what was put; want 0 to 1s", d)
	}
	WantToken(t, s, "u", "web", "")
}

func storeRefusal(t *testing.T, s exchange.Store) {
	s.Put("u", "ios", exchange.Record{
		Err:   &exchange.Error{Code: exchange.CodeRefused, RetryAfter: 7 * time.Second},
		Until: time.Now().Add(time.Minute),
	})
	r, ok := s.Get("u", "ios", time.Now())
	if !ok || r.Token != nil || r.Err == nil || r.Err.Code != exchange.CodeRefused || r.Err.RetryAfter != 7*time.Second {
		t.Fatalf("Get = %+v, %v", r, ok)
	}
	s.Put("u", "ios", RecordOf("t", time.Minute))
	WantToken(t, s, "u", "ios", "t")
	if r, _ := s.Get("u", "ios", time.Now()); r.Err != nil {
		t.Errorf("the refusal stayed: %v", r.Err)
	}
}

func storeApart(t *testing.T, s exchange.Store) {
	for _, user := range []exchange.UserKey{"u", "v"} {
		for _, variant := range []exchange.Variant{"ios", "web"} {
			s.Put(user, variant, RecordOf(string(user)+"-"+string(variant), time.Minute))
		}
	}
	for _, user := range []exchange.UserKey{"u", "v"} {
		for _, variant := range []exchange.Variant{"ios", "web"} {
			WantToken(t, s, user, variant, string(user)+"-"+string(variant))
		}
	}
}

func storeKeys(t *testing.T, s exchange.Store) {
	users := []exchange.UserKey{"", "a", "ab", "a\x00b", "\xff\xfe", "a:b", "{a}", "*", exchange.UserKey(strings.Repeat("k", 200))}
	variants := []exchange.Variant{"", "ios", "ios\x00d", "b:c", "\xff", exchange.Variant(strings.Repeat("v", 64))}
	for i, user := range users {
		for j, variant := range variants {
			s.Put(user, variant, RecordOf(fmt.Sprint(i, "/", j), time.Minute))
		}
	}
	for i, user := range users {
		for j, variant := range variants {
			WantToken(t, s, user, variant, fmt.Sprint(i, "/", j))
		}
	}
}

func storeReplace(t *testing.T, s exchange.Store) {
	s.Put("u", "ios", RecordOf("1", time.Minute))
	s.Put("u", "web", RecordOf("w", time.Minute))
	s.Put("u", "ios", RecordOf("2", time.Minute))
	WantToken(t, s, "u", "ios", "2")
	WantToken(t, s, "u", "web", "w")
}

func storeNoResurrection(t *testing.T, s exchange.Store) {
	s.Put("u", "ios", RecordOf("long", time.Minute))
	s.Put("u", "web", RecordOf("w", time.Minute))
	s.Put("u", "ios", RecordOf("short", 100*time.Millisecond))
	time.Sleep(150 * time.Millisecond)
	WantToken(t, s, "u", "ios", "")
	WantToken(t, s, "u", "web", "w")
}

func storeExpiry(t *testing.T, s exchange.Store) {
	s.Put("u", "ios", RecordOf("a", 300*time.Millisecond))
	s.Put("u", "web", RecordOf("b", time.Minute))
	s.Put("v", "ios", RecordOf("c", 300*time.Millisecond))
	WantToken(t, s, "u", "ios", "a")
	time.Sleep(350 * time.Millisecond)
	WantToken(t, s, "u", "ios", "")
	WantToken(t, s, "u", "web", "b")
	WantToken(t, s, "v", "ios", "")
	s.Put("v", "ios", RecordOf("d", time.Minute))
	WantToken(t, s, "v", "ios", "d")
}

func storePast(t *testing.T, s exchange.Store) {
	for i, until := range []time.Time{{}, time.Unix(0, 0), time.Now(), time.Now().Add(-time.Nanosecond), time.Now().Add(-time.Hour)} {
		user := exchange.UserKey(fmt.Sprint("u", i))
		s.Put(user, "ios", exchange.Record{Token: NewToken("t"), Until: until})
		WantToken(t, s, user, "ios", "")
	}
}

func storePastReplaces(t *testing.T, s exchange.Store) {
	s.Put("u", "ios", RecordOf("a", time.Minute))
	s.Put("u", "web", RecordOf("b", time.Minute))
	s.Put("u", "ios", exchange.Record{Token: NewToken("c")})
	WantToken(t, s, "u", "ios", "")
	WantToken(t, s, "u", "web", "b")
}

func storeForget(t *testing.T, s exchange.Store) {
	s.Put("u", "ios", RecordOf("a", time.Minute))
	s.Put("u", "web", RecordOf("b", time.Minute))
	s.Put("v", "ios", RecordOf("c", time.Minute))
	s.Evict("u")
	WantToken(t, s, "u", "ios", "")
	WantToken(t, s, "u", "web", "")
	WantToken(t, s, "v", "ios", "c")
	s.Put("u", "ios", RecordOf("d", time.Minute))
	WantToken(t, s, "u", "ios", "d")
	WantToken(t, s, "u", "web", "")
}

func storeForgetTokens(t *testing.T, s exchange.Store) {
	s.Put("u", "ios", RecordOf("a", time.Minute))
	s.Put("u", "web", RecordOf("b", time.Minute))
	s.Put("v", "ios", RecordOf("c", time.Minute))
	s.EvictTokens("u")
	WantToken(t, s, "u", "ios", "")
	WantToken(t, s, "u", "web", "")
	WantToken(t, s, "v", "ios", "c")
	s.Put("u", "ios", RecordOf("d", time.Minute))
	WantToken(t, s, "u", "ios", "d")
}

func storeFlush(t *testing.T, s exchange.Store) {
	for i := range 100 {
		s.Put(exchange.UserKey(fmt.Sprint("u", i)), "ios", RecordOf("t", time.Minute))
	}
	s.Flush()
	for i := range 100 {
		WantToken(t, s, exchange.UserKey(fmt.Sprint("u", i)), "ios", "")
	}
	s.Put("u1", "ios", RecordOf("again", time.Minute))
	WantToken(t, s, "u1", "ios", "again")
}

func storeContention(t *testing.T, s exchange.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				user := exchange.UserKey(fmt.Sprint("u", i%50))
				variant := exchange.Variant(fmt.Sprint("k", i%3))
				switch {
				case w == 0 && i%10 == 0:
					s.Evict(user)
				case w == 1 && i%500 == 0:
					s.Flush()
				case w%2 == 0:
					s.Put(user, variant, RecordOf(string(user)+string(variant), time.Duration(1+i%5)*time.Millisecond))
				default:
					if r, ok := s.Get(user, variant, time.Now()); ok && TokenOf(r) != string(user)+string(variant) {
						t.Errorf("Get(%q, %q) = %q", user, variant, TokenOf(r))
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
