package rediscache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// TestR5_DamagedValues checks that any damaged value is a miss and is counted, and that
// no user gets it as a token.
func TestR5_DamagedValues(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr())
	a := s.account("a")
	redisKey := func(u exchange.UserKey) string { return a.prefix + keyOf(u) }
	field := fieldOf("ios")

	put(t, a, "u", "t")
	put(t, a, "v", "v's")
	put(t, s.account("b"), "u", "b's")
	good := r.Text("HGET", redisKey("u"), field)
	another := r.Text("HGET", redisKey("v"), field)
	others := r.Text("HGET", s.account("b").prefix+keyOf("u"), field)

	sealer := func(n byte) *seal.Sealer {
		s, err := seal.New([]masked.String{key(n)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	junk := sealer(1)
	text, err := storetest.RecordOf("foreign", time.Minute).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealedForeign := string(sealer(9).Seal(text, redisKey("u"), "ios"))
	values := map[string]string{
		"empty": "", "text": "hello", "another user's": another, "another account's": others, "of an unknown key": sealedForeign,
		"of an unknown version":   "\x02" + good[1:],
		"longer":                  good + "x",
		"sealed junk":             string(junk.Seal([]byte("junk"), redisKey("u"), "ios")),
		"sealed, another variant": string(junk.Seal(nil, redisKey("u"), "web")),
	}
	for n := 0; n < len(good); n += 7 {
		values[fmt.Sprint("cut at ", n)] = good[:n]
	}
	for n := range len(good) {
		flipped := []byte(good)
		flipped[n] ^= 1 << (n % 8)
		values[fmt.Sprint("flipped at ", n)] = string(flipped)
	}
	for name, value := range values {
		r.Do("HSET", redisKey("u"), field, value)
		before := readEvents(s.events, func() int { return s.unreadable })
		rec, found, seen, err := a.Get(t.Context(), "u", "ios")
		if found || err != nil || rec != (exchange.Record{}) {
			t.Errorf("%s: Get = %v, %v, %v", name, rec, found, err)
		}
		if after := readEvents(s.events, func() int { return s.unreadable }); after != before+1 {
			t.Errorf("%s: counted %d times", name, after-before)
		}
		if name == "text" { // and it is replaced
			if kept, err := a.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), seen, false); err != nil || !kept {
				t.Errorf("%s: Put = %v, %v", name, kept, err)
			}
			wantToken(t, a, "u", "t")
		}
	}
	r.Do("HSET", redisKey("u"), field, good)
	wantToken(t, a, "u", "t")
	if !s.Up() {
		t.Error("a damaged value has taken the store down")
	}
}

// TestR5_ForeignKeys tests keys with our names that this package has not written.
func TestR5_ForeignKeys(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr())
	a := s.account("a")
	r.Do("SET", a.prefix+keyOf("u"), "something")
	wantToken(t, a, "u", "")
	if n := readEvents(s.events, func() int { return s.unreadable }); n != 1 {
		t.Errorf("counted %d times", n)
	}
	put(t, a, "u", "t")
	wantToken(t, a, "u", "t")

	u := s.locks("s")
	r.Do("LPUSH", u.keyOf("u"), "something")
	r.Do("SET", u.keyOf("v"), "something")
	for _, user := range []exchange.UserKey{"u", "v"} {
		for _, ask := range []func() (exchange.SignUpLock, error){
			func() (exchange.SignUpLock, error) { return u.Peek(t.Context(), user) },
			func() (exchange.SignUpLock, error) { return u.Lock(t.Context(), user, time.Minute) },
		} {
			if c, err := ask(); err != nil || c.State != exchange.SignUpRunning {
				t.Errorf("%s: %+v, %v", user, c, err)
			}
		}
	}
	if !s.Up() {
		t.Error("a foreign key has taken the store down")
	}
}

// TestR5_Clock checks that expired records are not returned if the store's clock stands
// still, and that no record is stored for longer than it is valid.
func TestR5_Clock(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr())
	a := s.account("a")
	put(t, a, "u", "t")
	r.Do("PERSIST", a.prefix+keyOf("u"))
	now := s.now
	s.now = func() time.Time { return now().Add(2 * time.Minute) }
	wantToken(t, a, "u", "")
	if n := readEvents(s.events, func() int { return s.unreadable }); n != 0 {
		t.Errorf("%d values were counted as unreadable", n)
	}
}

// TestR6_KeyRotation rotates from k1 to k2 k1 to k2, one replica after the other.
func TestR6_KeyRotation(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	with := func(keys ...byte) exchange.SharedStore {
		return ready(t, r.Addr(), func(c *Config) {
			c.Keys = nil
			for _, k := range keys {
				c.Keys = append(c.Keys, key(k))
			}
		}).account("a")
	}
	only1, both, only2 := with(1), with(2, 1), with(2)
	put(t, only1, "u", "sealed by 1")
	wantToken(t, both, "u", "sealed by 1")
	put(t, both, "v", "sealed by 2")
	wantToken(t, only1, "v", "") // the replica does not have the new key yet: a miss, and no error
	put(t, only1, "v", "by 1 again")
	wantToken(t, both, "v", "by 1 again")
	put(t, both, "v", "by 2 again")
	wantToken(t, only2, "v", "by 2 again")
	wantToken(t, only2, "u", "")
	put(t, only2, "u", "anew")
	wantToken(t, both, "u", "anew")
	if err := only2.Evict(t.Context(), "u"); err != nil {
		t.Error(err)
	}
	wantToken(t, both, "u", "")
}

// TestR7_Dump checks that after all operations the store contains nothing readable
// about a user or the plugin, and no key without an expiry.
func TestR7_Dump(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	r := startServer(t)
	s := ready(t, r.Addr(), func(c *Config) { c.Keys = []masked.String{masked.New(strings.Repeat(canary, 6)[:KeySize])} })
	a, u := s.account("account "+canary), s.locks("service "+canary)
	for i := range 20 {
		user := exchange.UserKey(fmt.Sprint("hash ", i))
		for k := range 3 {
			variant := exchange.Variant(fmt.Sprint("ios ", canary, k))
			g := exchange.NewToken(time.Now()).Text("authToken", canary).Lifetime("expiresIn", time.Hour).Token()
			if _, err := a.Put(t.Context(), user, variant, exchange.Record{Token: g, Until: time.Now().Add(time.Minute)}, "", true); err != nil {
				t.Fatal(err)
			}
		}
		c, err := u.Lock(t.Context(), user, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 5 {
		case 0:
			err = a.Evict(t.Context(), user)
		case 1:
			err = u.Release(t.Context(), user, c, exchange.SignUpEnd{Exists: true}, time.Minute)
		case 2:
			err = u.Release(t.Context(), user, c, exchange.SignUpEnd{Hold: time.Minute}, time.Minute)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := r.Texts("KEYS", "*")
	if len(keys) < 40 {
		t.Fatalf("%d keys", len(keys))
	}
	for _, k := range keys {
		const gone = -2 // expired since the keys were listed
		if ttl := r.Do("PTTL", k).(int64); ttl == gone {
			continue
		} else if ttl <= 0 || ttl > exchange.EvictedFor.Milliseconds() {
			t.Errorf("%s lasts %d ms", k, ttl)
		}
		if !strings.HasPrefix(k, DefaultPrefix) {
			t.Errorf("%s has another prefix", k)
		}
		text := k + r.Text("DUMP", k)
		switch kind := r.Text("TYPE", k); kind {
		case "hash":
			text += strings.Join(r.Texts("HGETALL", k), "")
		case "string":
			text += r.Text("GET", k)
		default:
			t.Errorf("%s has the type %q", k, kind)
		}
		if strings.Contains(text, canary) || strings.Contains(text, "hash ") {
			t.Errorf("%s tells: %q", k, text)
		}
		// Without the keyed hash, anyone could compute the name of a user's lock from
		// their address.
		if hash := keyOf("hash "); strings.HasPrefix(k, DefaultPrefix+"s:") && strings.Contains(k, hash[:len(hash)-1]) {
			t.Errorf("%s names a user", k)
		}
	}
}
