package claims

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// The variants of base64.
var alphabets = []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding}

func TestDecode(t *testing.T) {
	// These bytes need + and / or - and _ in base64, and padding.
	for _, text := range []string{`{"email":"alice@example.com"}`, `{"a":"~~~???"}`, `{"a":"~~~???>"}`, `{"name":"René 🦊ÿþ"}`, `[1]`, `{}`, `{"a":"é?>~"}`} {
		want := mustParse(t, text)
		written := []string{text, " \t" + text + "\r\n"}
		for _, e := range alphabets {
			b := e.EncodeToString([]byte(text))
			written = append(written, b, "  "+b+"\n", "e30."+b+".c2ln", e.EncodeToString([]byte(`{"alg":"none"}`))+"."+b+".", " ."+b+". ", "Bearer e30."+b+".c2ln")
		}
		for _, w := range written {
			d, err := Decode(w)
			if err != nil || !reflect.DeepEqual(d, want) {
				t.Errorf("%q: %v, %v", w, d, err)
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name string
		text string
		err  error
	}{
		{"nothing", ``, errNotJSON},
		{"white space", "  ", errNotJSON},
		{"an address", `alice@example.com`, errNotBase64},
		{"cut JSON", `{"email":"alice`, errNotJSON},
		{"a text", `"alice"`, errNotBase64},
		{"base64 of a text", b64([]byte(`"alice@example.com"`)), ErrNeither},
		{"base64 of null", b64([]byte(`null`)), ErrNeither},
		{"base64 of no JSON", b64([]byte(`alice@example.com`)), errNotJSON},
		{"base64 of base64", b64([]byte(b64([]byte(`{}`)))), errNotJSON},
		{"base64 of a double", b64([]byte(`{"a":1,"a":2}`)), errTwice},
		{"base64 of two", b64([]byte(`{}{}`)), errMore},
		{"a word that is base64", `alice`, errNotBase64}, // five characters are not valid base64
		{"a word that is, too", `Alice9`, errNotJSON},
		{"both alphabets", `eyJh+_8=`, errNotBase64},
		{"padding within", `e3=0`, errNotBase64},
		{"white space within", `e3 0=`, errNotBase64},
		{"one dot", `e30.e30`, errNotBase64},
		{"three dots", `e30.e30.e30.e30`, errNotBase64},
		{"four dots, as encrypted", `e30.e30.e30.e30.e30`, errNotBase64},
		{"two dots, empty", `..`, errNotJSON},
		{"two dots, no base64", `e30.?.e30`, errNotBase64},
		{"two dots, plain JSON", `e30.{}.e30`, errNotBase64},
		{"a host", `www.example.com`, errNotJSON},
		{"two tokens", `e30.e30.e30,e30.e30.e30`, errNotBase64},
		{"escaped", `%7B%7D`, errNotBase64},
		{"too deep", b64([]byte(nested(maxDepth+1, ""))), errDeep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Decode(tt.text)
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if err != nil && d.root != nil {
				t.Errorf("an error, and %#v", d.root)
			}
		})
	}
}

func TestBase64(t *testing.T) {
	for text, want := range map[string]string{"": "", "QQ": "A", "QQ==": "A", "QQ=": "A", "-_8": "\xfb\xff", "+/8=": "\xfb\xff", "====": ""} {
		if got, err := Base64(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"Q", "Q=Q", "=QQ", "é", "-/8", "Q Q"} {
		if got, err := Base64(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestFromList(t *testing.T) {
	const ns = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	type object = map[string]any
	tests := map[string]struct {
		text string
		want object
	}{
		"Azure's": {`{"auth_typ":"aad","name_typ":"` + ns + `name","claims":[
			{"typ":"` + ns + `emailaddress","val":"alice@example.com"},{"typ":"name","val":"Alice Miller"},{"typ":"` + ns + `givenname","val":"Alice"}]}`, object{
			ns + "emailaddress": "alice@example.com", "/claims/emailaddress": "alice@example.com", "name": "Alice Miller",
			ns + "givenname": "Alice", "/claims/givenname": "Alice",
		}},
		"one twice":          {`{"claims":[{"typ":"email","val":"a"},{"typ":"email","val":"b"}]}`, object{"email": []any{"a", "b"}}},
		"one thrice":         {`{"claims":[{"typ":"g","val":"a"},{"typ":"x","val":"y"},{"typ":"g","val":"b"},{"typ":"g","val":"a"}]}`, object{"g": []any{"a", "b"}, "x": "y"}},
		"the same twice":     {`{"claims":[{"typ":"email","val":"a"},{"typ":"email","val":"a"}]}`, object{"email": "a"}},
		"with an empty one":  {`{"claims":[{"typ":"email","val":""},{"typ":"email","val":" "},{"typ":"email","val":"a"}]}`, object{"email": "a"}},
		"empty ones alone":   {`{"claims":[{"typ":"email","val":""},{"typ":"email","val":null}]}`, object{"email": ""}},
		"the same in both":   {`{"claims":[{"typ":"http://x/claims/e","val":"a"},{"typ":"http://y/claims/e","val":"a"}]}`, object{"http://x/claims/e": "a", "http://y/claims/e": "a", "/claims/e": "a"}},
		"two name spaces":    {`{"claims":[{"typ":"http://x/claims/e","val":"a"},{"typ":"http://y/claims/e","val":"b"}]}`, object{"http://x/claims/e": "a", "http://y/claims/e": "b", "/claims/e": []any{"a", "b"}}},
		"the short name too": {`{"claims":[{"typ":"/claims/e","val":"a"},{"typ":"http://x/claims/e","val":"b"}]}`, object{"/claims/e": []any{"a", "b"}, "http://x/claims/e": "b"}},
		"claims twice in it": {`{"claims":[{"typ":"http://x/claims/e/claims/f","val":"a"}]}`, object{"http://x/claims/e/claims/f": "a", "/claims/f": "a"}},
		"not at the end":     {`{"claims":[{"typ":"http://x/claims/e/more","val":"a"}]}`, object{"http://x/claims/e/more": "a", "/claims/e/more": "a"}},
		"case counts":        {`{"claims":[{"typ":"Email","val":"a"},{"typ":"http://x/Claims/e","val":"b"},{"TYP":"y","val":"c"}]}`, object{"Email": "a", "http://x/Claims/e": "b"}},
		"values of any kind": {`{"claims":[{"typ":"a","val":true},{"typ":"b","val":null},{"typ":"c","val":["x"]},{"typ":"d","val":{"e":"f"}}]}`, object{"a": true, "b": nil, "c": []any{"x"}, "d": object{"e": "f"}}},
		"no value":           {`{"claims":[{"typ":"a"}]}`, object{"a": nil}},
		"none, then one":     {`{"claims":[{"typ":"a"},{"typ":"a","val":"b"}]}`, object{"a": "b"}},
		"a list, then one":   {`{"claims":[{"typ":"a","val":["b"]},{"typ":"a","val":"c"}]}`, object{"a": []any{[]any{"b"}, "c"}}},
		"no type":            {`{"claims":[{"val":"a"},{"typ":"","val":"a"},{"typ":7,"val":"a"},{"typ":["email"],"val":"a"},{"typ":null,"val":"a"}]}`, object{}},
		"entries of no kind": {`{"claims":["email",7,null,[{"typ":"email","val":"a"}]]}`, object{}},
		"no list":            {`{"claims":{"email":"a"}}`, object{}},
		"no claims":          {`{"email":"a"}`, object{}},
		"a list outside":     {`[{"typ":"email","val":"a"}]`, object{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := mustParse(t, tt.text)
			if got := d.FromList().Map(); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%#v", got)
			}
			if !reflect.DeepEqual(d, mustParse(t, tt.text)) {
				t.Error("the list has changed")
			}
		})
	}
	if m := (Document{}).FromList().Map(); m == nil || len(m) > 0 {
		t.Errorf("%#v", m)
	}
}

// TestFromListOfLists checks that a list shared by two claims is not modified.
func TestFromListOfLists(t *testing.T) {
	const x, y = "http://x/claims/e", "http://y/claims/e"
	m := mustParse(t, `{"claims":[{"typ":"`+x+`","val":["1","2","3"]},{"typ":"`+y+`","val":"4"},{"typ":"`+x+`","val":"5"}]}`).FromList().Map()
	list := []any{"1", "2", "3"}
	want := map[string]any{x: []any{list, "5"}, y: "4", "/claims/e": []any{list, "4", "5"}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("%#v", m)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, ` {"email":"alice@example.com"} `, `{"a":"~~~???"}`, "e30", "e30=", " e30= ", "e30.e30.", "..", "a.b.c", "eyJhIjoxLCJhIjoyfQ==", "%7B%7D", "=", "\u00a0e30\u00a0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Decode(text)
		switch d.root.(type) {
		case map[string]any, []any:
			if err != nil {
				t.Fatalf("%q: %v, and a document", text, err)
			}
		default:
			if err == nil {
				t.Fatalf("%q: %#v", text, d.root)
			}
		}
		parsed, parseErr := ParseLatin1([]byte(text))
		if parseErr == nil && (err != nil || !reflect.DeepEqual(d, parsed)) {
			t.Fatalf("%q: %v as it is", text, err)
		}
		if text == "" {
			return
		}
		for _, e := range alphabets {
			b := e.EncodeToString([]byte(text))
			for _, written := range []string{b, " " + b + "\t", "e30." + b + ".c2ln", strings.Repeat("x", 10) + "." + b + "."} {
				d, err := Decode(written)
				if !errors.Is(err, parseErr) || !reflect.DeepEqual(d, parsed) {
					t.Fatalf("%q as %q: %v, want %v", text, written, err, parseErr)
				}
			}
		}
	})
}

// TestD3_Latin1 checks that JSON that is not UTF-8 is decoded as Latin-1, in every form.
func TestD3_Latin1(t *testing.T) {
	const text = "{\"email\":\"a@x.io\",\"name\":\"J\xf6rg \x8aimon\"}"
	want := mustParse(t, `{"email":"a@x.io","name":"Jörg Šimon"}`)
	b64 := base64.StdEncoding.EncodeToString([]byte(text))
	for _, written := range []string{text, b64, base64.RawURLEncoding.EncodeToString([]byte(text)), "e30." + b64 + ".c2ln"} {
		d, err := Decode(written)
		if err != nil || !d.IsLatin1() || !reflect.DeepEqual(d.Map(), want.Map()) {
			t.Errorf("%q: %v, %v", written, d, err)
		}
	}
	for _, utf8 := range []string{`{"name":"Jörg"}`, `{"name":"\ud800"}`, `{}`} {
		if d, err := Decode(utf8); err != nil || d.IsLatin1() {
			t.Errorf("%q: %v, %v", utf8, d, err)
		}
	}
	list, err := Decode("{\"claims\":[{\"typ\":\"name\",\"val\":\"J\xf6rg\"}]}")
	if err != nil || !list.FromList().IsLatin1() || list.FromList().Lookup(Path{"name"}) != "Jörg" {
		t.Errorf("%v, %v", list, err)
	}
	for _, wrong := range []string{"{\"a\xf6\":1,\"a\xf6\":2}", "{\"a\":\"\xf6", "[\xf6]"} {
		if d, err := Decode(wrong); err == nil || d.IsLatin1() {
			t.Errorf("%q: %v, %v", wrong, d, err)
		}
	}
}
