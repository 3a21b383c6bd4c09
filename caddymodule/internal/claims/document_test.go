package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// nested returns lists nested to the given depth.
func nested(depth int, innermost string) string {
	return strings.Repeat("[", depth) + innermost + strings.Repeat("]", depth)
}

func TestParse(t *testing.T) {
	type object = map[string]any
	tests := map[string]struct {
		text string
		want any
		err  error
	}{
		"an object":                    {`{"email":"alice@example.com"}`, object{"email": "alice@example.com"}, nil},
		"white space around":           {" \t\r\n{ } \n", object{}, nil},
		"a list":                       {`[{"a":1},"b"]`, []any{object{"a": json.Number("1")}, "b"}, nil},
		"an empty list":                {`[]`, []any(nil), nil},
		"each kind":                    {`{"a":true,"b":false,"c":null,"d":"","e":[null]}`, object{"a": true, "b": false, "c": nil, "d": "", "e": []any{nil}}, nil},
		"numbers as they are written":  {`[12345678901234567890,1e999,1.50,-0]`, []any{json.Number("12345678901234567890"), json.Number("1e999"), json.Number("1.50"), json.Number("-0")}, nil},
		"escapes":                      {`{"\u0061":"Ren\u00e9 \ud83e\udd8a"}`, object{"a": "René 🦊"}, nil},
		"a member that differs":        {`{"email":1,"Email":2,"":3}`, object{"email": json.Number("1"), "Email": json.Number("2"), "": json.Number("3")}, nil},
		"one name, two objects":        {`{"a":{"a":{}},"b":[{"a":1},{"a":2}]}`, object{"a": object{"a": object{}}, "b": []any{object{"a": json.Number("1")}, object{"a": json.Number("2")}}}, nil},
		"as deep as allowed":           {nested(maxDepth, ""), nil, nil},
		"as deep as allowed, a number": {nested(maxDepth, "1"), nil, nil},

		// Invalid UTF-8 becomes U+FFFD, which is not valid in an address.
		"not UTF-8":           {"{\"email\":\"ren\xe9@example.com\"}", object{"email": "ren\ufffd@example.com"}, nil},
		"half a character":    {`{"email":"\ud83e@example.com"}`, object{"email": "\ufffd@example.com"}, nil},
		"not UTF-8, two keys": {"{\"\xe9\":1,\"\xe8\":2}", nil, errTwice},

		"twice":                {`{"email":"alice@example.com","email":"bob@example.com"}`, nil, errTwice},
		"twice the same":       {`{"email":1,"email":1}`, nil, errTwice},
		"twice with an escape": {`{"email":1,"\u0065mail":2}`, nil, errTwice},
		"twice, null first":    {`{"email":null,"email":"bob@example.com"}`, nil, errTwice},
		"twice, further in":    {`{"data":[{"user":{"a":1,"b":2,"a":3}}]}`, nil, errTwice},
		"two values":           {`{} {}`, nil, errMore},
		"two values, no space": {`{}[]`, nil, errMore},
		"garbage behind":       {`{}x`, nil, errMore},
		"a bracket behind":     {`{}}`, nil, errMore},
		"a comma behind":       {`{},`, nil, errMore},
		"a zero byte behind":   {"{}\x00", nil, errMore},
		"a text":               {`"alice@example.com"`, nil, ErrNeither},
		"a number":             {`7`, nil, ErrNeither},
		"a bool":               {`true`, nil, ErrNeither},
		"null":                 {`null`, nil, ErrNeither},
		"nothing":              {``, nil, errNotJSON},
		"a byte order mark":    {"\ufeff{}", nil, errNotJSON},
		"no JSON":              {`alice@example.com`, nil, errNotJSON},
		"a page":               {`<!doctype html><title>Sign in</title>`, nil, errNotJSON},
		"cut":                  {`{"email":"alice@exam`, nil, errNotJSON},
		"a comment":            {`{}/**/`, nil, errMore},
		"too deep":             {nested(maxDepth+1, ""), nil, errDeep},
		"too deep, objects":    {strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1), nil, errDeep},
		"far too deep":         {strings.Repeat("[", 1_000_000), nil, errDeep},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := Parse([]byte(tt.text))
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if tt.want != nil && !reflect.DeepEqual(d.root, tt.want) {
				t.Errorf("%#v", d.root)
			}
			if err != nil && d.root != nil {
				t.Errorf("an error, and %#v", d.root)
			}
		})
	}
}

// TestErrorsHoldNothing checks that errors contain no text of the document.
func TestErrorsHoldNothing(t *testing.T) {
	for _, text := range []string{
		`{"alice@example.com":1,"alice@example.com":2}`, `{"a":"alice@example.com"} alice@example.com`, `alice@example.com`, `"alice@example.com"`, `{"alice@example.com`,
		"{alice@example.com}", "a.alice@example.com.b", "alice!",
	} {
		for _, read := range []func() error{
			func() error { _, err := Parse([]byte(text)); return err },
			func() error { _, err := Decode(text); return err },
		} {
			if err := read(); err == nil || strings.Contains(err.Error(), "alice") {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

func mustParse(t testing.TB, text string) Document {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// FuzzParse compares Parse with the standard library, which uses the last of duplicate
// members, and allows deeper nesting.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `null`, `{"a":1,"a":2}`, `{"a":{"b":[1,"x",null,true,1e9]}}`, `{"a":1,}`, `[1,]`, `{} {}`, `{"a\u0000":"\ud800"}`, "\ufeff{}", "{\"\xff\":1,\"\xfe\":2}", ` [ ] `,
		nested(maxDepth, "1"), nested(maxDepth+1, ""), `{"claims":[{"typ":"a","val":"b"},{"typ":"http://x/claims/a","val":1}]}`, `{"a":":{[\""}`,
		`[,]`, `["a":1]`, `{"a" 1}`, `{1:2}`, `{"a":1]`, `[1}`, `[007]`, `{"a":`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if m := d.FromList().Map(); m == nil {
			t.Fatal("FromList has not returned an object")
		}
		if !json.Valid(b) {
			if err == nil {
				t.Fatalf("%q is not JSON", b)
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		members, depth := survey(b)
		acceptable := depth > 0 && depth <= maxDepth && members == countMembers(want)
		if acceptable != (err == nil) {
			t.Fatalf("%q: %v", b, err)
		}
		if err == nil && !equal(d.root, want) {
			t.Fatalf("%q: %#v, want %#v", b, d.root, want)
		}
	})
}

// survey returns the number of members in the objects of valid JSON, duplicates
// included, and its nesting depth.
func survey(b []byte) (members, depth int) {
	within, now := false, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			within = !within
		case within && c == '\\':
			i++
		case within:
		case c == ':':
			members++
		case c == '{' || c == '[':
			now++
			depth = max(depth, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return members, depth
}

// countMembers returns the number of members in the objects of v, without duplicates.
func countMembers(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			n += 1 + countMembers(member)
		}
	case []any:
		for _, element := range v {
			n += countMembers(element)
		}
	}
	return n
}

// equal reports whether a and b are equal. An empty list equals a nil list.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, v := range a {
			other, ok := b[name]
			if !ok || !equal(v, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	return a == b
}
