package exchange

import (
	"bytes"
	"encoding/binary"
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

func TestRecordsComeBack(t *testing.T) {
	now := time.Now()
	for i, g := range tokenExamples(now) {
		b := encode(t, Record{Token: g, Until: now.Add(time.Minute)})
		got, err := DecodeRecord(b)
		clear(b) // the decoded value must not reference it
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

// TestRefusalRoundTrip checks a refusal that was never cached.
func TestRefusalRoundTrip(t *testing.T) {
	now := time.Now()
	got, err := DecodeRecord(encode(t, Record{Err: &Error{Code: CodeRefused}, Until: now.Add(time.Minute)}))
	if err != nil {
		t.Fatal(err)
	}
	if age := got.age(time.Now()); age < 0 || age > time.Since(now) {
		t.Errorf("it is %s old", age)
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

// TestR05_InvalidRecords checks that what cannot be used is an error: other versions, and
// data that AppendBinary did not write.
func TestR05_InvalidRecords(t *testing.T) {
	now := time.Now()
	until := now.Add(time.Minute)
	token := func(edit func(*Token)) []byte {
		g := NewToken(now).Text("a", "b").Lifetime("x", time.Hour).Lifetime("y", 2*time.Hour).Token()
		edit(g)
		return encode(t, Record{Token: g, Until: until})
	}
	good := token(func(*Token) {})
	header := binary.Size(recordHeader{})
	edit := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	refusal := encode(t, Record{Err: &Error{Code: CodeRefused, at: now}, Until: until})
	for name, b := range map[string][]byte{
		"nothing":                      nil,
		"a cut header":                 good[:header-1],
		"no text":                      good[:header],
		"another version":              edit(0, recordVersion+1),
		"the version before":           edit(0, recordVersion-1),
		"another kind":                 edit(1, 3),
		"a token as a refusal":         edit(1, recordRefusal),
		"four slots":                   token(func(g *Token) { g.count = 4 }),
		"a slot behind the text":       token(func(g *Token) { g.slots[1].At = uint32(len(g.text)) + 1 }),
		"a slot far behind":            token(func(g *Token) { g.slots[1].At = 1<<32 - 1 }),
		"slots in the wrong order":     token(func(g *Token) { g.slots[0].At = g.slots[1].At + 1 }),
		"a refusal that is cut":        refusal[:header-1],
		"a refusal without a code":     refusal[:header],
		"a refusal with another code":  append(bytes.Clone(refusal), 'x'),
		"an outage in place of a code": append(bytes.Clone(refusal[:header]), CodeUnavailable...),
	} {
		if r, err := DecodeRecord(b); err == nil {
			t.Errorf("%s was decoded: %v", name, r)
		}
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
		again, err := DecodeRecord(encode(t, r))
		if err != nil || !again.Until.Equal(r.Until) {
			t.Fatalf("%v came back as %v, %v", r, again, err)
		}
		if r.Err != nil {
			return
		}
		if *again.Token != *r.Token {
			t.Fatal("another token came back")
		}
		// What did not come out of a Builder may be invalid JSON, but must not panic.
		_ = r.Token.AppendJSON(nil, now)
		_, _ = r.Token.cacheUntil(tenth30), r.Token.expiry()
	})
}
