package exchange

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func encode(t testing.TB, r Record) []byte {
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tokenExamples(issuedAt time.Time) []*Token {
	return []*Token{
		NewToken(issuedAt).Text("authToken", "t</script>\u2028").Token(),
		NewToken(issuedAt).Lifetime("expiresIn", time.Hour).Token(),
		NewToken(issuedAt).Lifetime("expiresIn", time.Millisecond).Lifetime("b", time.Hour).Token(),
		NewToken(issuedAt).Text("a", "b").Lifetime("x", time.Hour).Text("c", "").
			Lifetime("y", 0).Lifetime("z", maxLifetime).Text("d", strings.Repeat("\x01", 1<<16)).Token(),
		NewToken(issuedAt).Lifetime("x", time.Hour).Lifetime("y", time.Minute).Token(),
		NewToken(issuedAt).Lifetime("x", time.Hour).Lifetime("y", 500*time.Millisecond).Token(),
	}
}

func TestGrantsComeBack(t *testing.T) {
	issuedAt := time.Now()
	for i, g := range tokenExamples(issuedAt) {
		b, _ := g.AppendBinary([]byte("before"))
		b = bytes.TrimPrefix(b, []byte("before"))
		got, err := DecodeToken(b)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if *got != *g {
			t.Errorf("%d: another token came back", i)
		}
		clear(b) // the decoded value must not reference it
		if *got != *g {
			t.Errorf("%d: the token changed with what it was read from", i)
		}
	}
}

func TestRecordsComeBack(t *testing.T) {
	now := time.Now()
	for i, g := range tokenExamples(now) {
		got, err := DecodeRecord(encode(t, Record{Token: g, Until: now.Add(time.Minute)}))
		if err != nil || got.Err != nil || *got.Token != *g || !got.Until.Equal(now.Add(time.Minute)) {
			t.Errorf("%d: %v, %v", i, got, err)
		}
	}
	kept := now.Add(-time.Second)
	for _, code := range []Code{CodeNotRegistered, CodeRefused, CodeConnectUnavailable} {
		refusal := &Error{Code: code, RetryAfter: 7 * time.Second, at: kept, Err: errors.New("canary")}
		b := encode(t, Record{Err: refusal, Until: now.Add(time.Minute)})
		got, err := DecodeRecord(b)
		if err != nil || got.Token != nil || !got.Until.Equal(now.Add(time.Minute)) {
			t.Fatalf("%s: %v, %v", code, got, err)
		}
		if e := got.Err; e.Code != code || e.RetryAfter != 7*time.Second || !e.at.Equal(kept) || e.Err != nil {
			t.Errorf("%s: %+v", code, e)
		}
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s: what happened is in the record", code)
		}
	}
}

// TestRefusalRoundTrip checks that an encoded refusal can be decoded,
// also one with an extreme RetryAfter, and one that was never cached.
func TestRefusalRoundTrip(t *testing.T) {
	now := time.Now()
	for wait, want := range map[time.Duration]time.Duration{
		-time.Second: 0, 0: 0, time.Second: time.Second, maxRetryAfter: maxRetryAfter, 48 * time.Hour: maxRetryAfter,
	} {
		got, err := DecodeRecord(encode(t, Record{Err: &Error{Code: CodeRefused, RetryAfter: wait}, Until: now.Add(time.Minute)}))
		if err != nil || got.Err.RetryAfter != want {
			t.Errorf("%s: %+v, %v; want %s", wait, got.Err, err, want)
			continue
		}
		if age := got.age(time.Now()); age < 0 || age > time.Since(now) {
			t.Errorf("%s: it is %s old", wait, age)
		}
	}
}

func TestWhatMayNotBeRepeatedIsNotWritten(t *testing.T) {
	until := time.Now().Add(time.Minute)
	for name, r := range map[string]Record{
		"nothing": {Until: until},
		"both":    {Token: NewToken(time.Now()).Token(), Err: &Error{Code: CodeRefused}, Until: until},
		"outage":  {Err: &Error{Code: CodeUnavailable}, Until: until},
		"no code": {Err: &Error{}, Until: until},
	} {
		if b, err := r.AppendBinary(nil); err == nil {
			t.Errorf("%s was written: %d bytes", name, len(b))
		}
	}
}

// TestR05_InvalidRecords checks each truncation, and a change of each byte that
// matters.
func TestR05_InvalidRecords(t *testing.T) {
	now := time.Now()
	g := NewToken(now).Text("a", "b").Lifetime("x", time.Hour).Lifetime("y", 2*time.Hour).Token()
	good := encode(t, Record{Token: g, Until: now.Add(time.Minute)})
	const token, gaps = 10, 10 + tokenHeader
	edit := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	u32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, b := range map[string][]byte{
		"nothing":                  nil,
		"a cut header":             good[:9],
		"a cut token":              good[:token+5],
		"cut gaps":                 good[:gaps+3],
		"a cut text":               good[:len(good)-1],
		"more text":                append(bytes.Clone(good), ' '),
		"another version":          edit(0, 2),
		"another variant":          edit(1, 3),
		"a token as a refusal":     edit(1, recordRefusal),
		"over before it began":     edit(2, 0, 0),
		"a token's other version":  edit(token, 0),
		"before all time":          edit(token+1, 0xff),
		"a life that is no gap's":  edit(token+9, u32(17)...),
		"four gaps":                edit(gaps-1, 4),
		"no gaps, but a life":      edit(gaps-1, 0),
		"a gap before the text":    edit(gaps, u32(0)...),
		"a gap behind the text":    edit(gaps, u32(1000)...),
		"a gap far behind":         edit(gaps, u32(1<<32-1)...),
		"gaps in the wrong order":  edit(gaps, u32(g.slots[1].at+1)...),
		"gaps in one place":        edit(gaps+8, u32(g.slots[0].at)...),
		"a lifetime of a century":  edit(gaps+12, u32(1<<32-1)...),
		"a gap behind all others":  edit(gaps+8, u32(1000)...),
		"a life beyond its own":    edit(token+9, u32(7200)...),
		"a text without its brace": edit(gaps+16, 'x'),
		"no text":                  good[:gaps+16],
		"a text that never ends":   encode(t, Record{Token: NewToken(now).Text("a", strings.Repeat("x", maxText)).Token(), Until: now.Add(time.Minute)}),
		"good for a century":       encode(t, Record{Token: g, Until: now.Add(100 * 365 * 24 * time.Hour)}),
	} {
		if r, err := DecodeRecord(b); err == nil {
			t.Errorf("%s was decoded: %v", name, r)
		}
	}
	from := func(at, until time.Time) []byte {
		return encode(t, Record{Err: &Error{Code: CodeRefused, at: at}, Until: until})
	}
	refusal := from(now, now.Add(time.Minute))
	for name, b := range map[string][]byte{
		"cut":                  refusal[:25],
		"without a code":       refusal[:26],
		"another code":         append(bytes.Clone(refusal), 'x'),
		"an outage":            append(bytes.Clone(refusal[:26]), CodeUnavailable...),
		"a long wait":          append(append(bytes.Clone(refusal[:18]), 0xff), refusal[19:]...),
		"over before it began": from(now.Add(time.Hour), now.Add(time.Minute)),
		"before all time":      from(time.Unix(-1, 0), time.Unix(1, 0)),
		"good for a century":   from(now, now.Add(100*365*24*time.Hour)),
	} {
		if r, err := DecodeRecord(b); err == nil {
			t.Errorf("refusal, %s was decoded: %v", name, r)
		}
	}
}

// TestR05_InvalidTokens checks data that only the time of its record would reveal
// as invalid.
func TestR05_InvalidTokens(t *testing.T) {
	before, _ := NewToken(time.Unix(-1, 0)).Text("a", "b").Token().AppendBinary(nil)
	if g, err := DecodeToken(before); err == nil {
		t.Errorf("from before all time: %v", g)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	now := time.Now()
	for _, g := range tokenExamples(now)[:3] {
		f.Add(encode(f, Record{Token: g, Until: now.Add(time.Minute)}))
	}
	f.Add(encode(f, Record{Err: &Error{Code: CodeRefused, at: now}, Until: now.Add(time.Minute)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			if r != (Record{}) {
				t.Fatalf("%v with an error", r)
			}
			return
		}
		if (r.Token == nil) == (r.Err == nil) {
			t.Fatal("neither a token nor a refusal, or both")
		}
		if again := encode(t, r); !bytes.Equal(again, data) {
			t.Fatal("the encoding differs from the decoded text")
		}
		if r.Err != nil {
			return
		}
		// What came out of a Builder is JSON; what did not must not panic.
		text := r.Token.AppendJSON(nil, now)
		if first, _ := DecodeToken(data[10:]); first.text != r.Token.text {
			t.Fatal("the record holds another token")
		}
		_ = json.Valid(text)
		_, _ = r.Token.cacheUntil(tenth30), r.Token.expiry()
	})
}
