package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	tests := map[string]struct {
		written string
		want    Path
		err     error
	}{
		"one":                   {`email`, Path{"email"}, nil},
		"two":                   {`user.email`, Path{"user", "email"}, nil},
		"an index":              {`data.0.email`, Path{"data", "0", "email"}, nil},
		"an address":            {`https://example\.com/claims/email`, Path{"https://example.com/claims/email"}, nil},
		"a dot in a name":       {`a\.b.c`, Path{"a.b", "c"}, nil},
		"a dot alone":           {`\.`, Path{"."}, nil},
		"dots":                  {`\..\.`, Path{".", "."}, nil},
		"a backslash":           {`a\\.b`, Path{`a\`, "b"}, nil},
		"a backslash and a dot": {`a\\\.b`, Path{`a\.b`}, nil},
		"a space":               {`full\ name.a\\\ b`, Path{"full name", `a\ b`}, nil},
		"other signs stay":      {` a b . $['x']/~1 `, Path{" a b ", " $['x']/~1 "}, nil},
		"not ASCII":             {"É.张", Path{"É", "张"}, nil},
		"not UTF-8":             {"\xff.\x00", Path{"\xff", "\x00"}, nil},

		"nothing":              {``, nil, errEmptyStep},
		"a dot":                {`.`, nil, errEmptyStep},
		"begins with a dot":    {`.email`, nil, errEmptyStep},
		"ends with a dot":      {`user.`, nil, errEmptyStep},
		"two dots":             {`user..email`, nil, errEmptyStep},
		"JSONPath":             {`$..email`, nil, errEmptyStep},
		"an escaped letter":    {`user\email`, nil, errEscape},
		"an escaped end":       {`user\`, nil, errEscape},
		"an odd number":        {`user\\\`, nil, errEscape},
		"an escape before .. ": {`\a..`, nil, errEscape},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePath(tt.written)
			if !errors.Is(err, tt.err) || !reflect.DeepEqual(p, tt.want) {
				t.Errorf("%q, %v", p, err)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	d := mustParse(t, `{
		"email": "alice@example.com",
		"user": {"email": "alice@example.com", "verified": false, "id": 12345678901234567890, "null": null, "0": "not an index"},
		"data": [{"email": "alice@example.com"}, {"email": "bob@example.com"}],
		"list": ["a"], "lists": [["a"]], "none": [],
		"a.b": "a dot", "a": {"b": "two steps"}, "\\": "a backslash", "00": "a name"
	}`)
	tests := map[string]any{
		`email`:         "alice@example.com",
		`user.email`:    "alice@example.com",
		`user.verified`: false,
		`user.id`:       json.Number("12345678901234567890"),
		`user.0`:        "not an index",
		`data.0.email`:  "alice@example.com",
		`data.1.email`:  "bob@example.com",
		`list`:          []any{"a"},
		`list.0`:        "a",
		`lists.0.0`:     "a",
		`a\.b`:          "a dot",
		`a.b`:           "two steps",
		`\\`:            "a backslash",
		`00`:            "a name",
		// Leading zeros of an index are ignored.
		`data.01.email`: "bob@example.com",
		`list.00`:       "a",

		`Email`:                       nil, // names are case-sensitive
		`email.x`:                     nil,
		`email.0`:                     nil, // a string is not a list of characters
		`user.id.0`:                   nil,
		`user.verified.x`:             nil,
		`user.null`:                   nil,
		`user.null.x`:                 nil,
		`user.missing`:                nil,
		`user.missing.x`:              nil,
		`data.email`:                  nil, // a list needs an index
		`data.2.email`:                nil,
		`data.-1.email`:               nil,
		`data.+1.email`:               nil,
		`data. 1.email`:               nil,
		`data.0x1.email`:              nil,
		`data.1e0.email`:              nil,
		`data.0_1.email`:              nil,
		`data.١.email`:                nil,
		`data.4294967296.email`:       nil, // 0 if truncated to 32 bits
		`data.18446744073709551616.a`: nil, // 0 if truncated to 64 bits
		`data.length`:                 nil,
		`data.*.email`:                nil,
		`none.0`:                      nil,
		`list.0.0`:                    nil,
	}
	for written, want := range tests {
		p, err := ParsePath(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if got := d.Lookup(p); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v", written, got)
		}
		if got := (Document{}).Lookup(p); got != nil {
			t.Errorf("%s of nothing: %#v", written, got)
		}
	}
	if got := mustParse(t, `[{"email":"alice@example.com"}]`).Lookup(Path{"0", "email"}); got != "alice@example.com" {
		t.Errorf("%#v", got)
	}
}

// wellFormed matches the paths that ParsePath accepts.
var wellFormed = regexp.MustCompile(`(?s)\A([^.\\]|\\[.\\ ])+(\.([^.\\]|\\[.\\ ])+)*\z`)

func FuzzPath(f *testing.F) {
	for _, s := range []string{`email`, `user.email`, `data.0.email`, `a\.b`, `a\\.b`, `full\ name`, `.`, `a..b`, `\`, `list.-1`, `list.00`, "\xff.\\"} {
		f.Add(s)
	}
	d := mustParse(f, `{"email":"x","user":{"email":"x"},"data":[{"email":"x"}],"list":[[1,null,"x"]],"a.b":true}`)
	escape := strings.NewReplacer(`\`, `\\`, `.`, `\.`)
	f.Fuzz(func(t *testing.T, written string) {
		p, err := ParsePath(written)
		if (err == nil) != wellFormed.MatchString(written) {
			t.Fatalf("%q: %v", written, err)
		}
		if err != nil {
			if p != nil {
				t.Fatalf("%q: an error, and %q", written, p)
			}
			return
		}
		steps := make([]string, len(p))
		for i, step := range p {
			steps[i] = escape.Replace(step)
		}
		again := strings.Join(steps, ".")
		if same, err := ParsePath(again); err != nil || !reflect.DeepEqual(same, p) || again != written && !strings.Contains(written, `\ `) {
			t.Fatalf("%q became %q: %q, %v", written, again, same, err)
		}
		d.Lookup(p)
	})
}

// A user must not be selected from a list with several elements.
func TestOnly(t *testing.T) {
	d, err := Parse([]byte(`{"one":[{"a":1}],"two":[{"a":1},{"a":2}],"deep":[[1,2]],"plain":{"a":1},"list":[1,2]}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, several := range map[string]bool{
		"one.0.a": false, "plain.a": false, "list": false, "deep.0": false, "none": false, "one.1.a": false, "two.2.a": false,
		"two.0.a": true, "two.1.a": true, "two.0.none": true, "deep.0.1": true, "list.0": true,
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		v, err := d.Only(p)
		if (err == ErrSeveral) != several {
			t.Errorf("%s: %v", path, err)
		}
		if want := d.Lookup(p); several && v != nil || !several && fmt.Sprint(v) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", path, v, want)
		}
	}
}
