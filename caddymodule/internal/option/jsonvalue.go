package option

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a JSON value in an option.
const (
	maxJSON      = 16 << 10 // bytes, before placeholders are expanded
	maxJSONDepth = 20
)

// The errors of CheckJSON. They do not quote the value, because it may hold a secret.
var (
	errJSONSyntax    = errors.New("the value is not JSON: write a text in double quotes within backquotes, such as `\"text\"`")
	errJSONLength    = errors.New("the value is longer than 16 KiB")
	errJSONDepth     = errors.New("the value has more than 20 nested levels")
	errJSONNumber    = errors.New("a number in the value is too large or has more than 15 digits: write it as a text")
	errJSONDuplicate = errors.New("an object in the value has two members with the same name")
)

// CheckJSON returns an error if text is not one JSON value, or if an object in it has two
// members with the same name.
func CheckJSON(text string) error {
	_, err := decodeJSON(text, func(s string) (string, error) { return s, nil })
	return err
}

// ExpandJSON returns a JSON value with the placeholders in its strings expanded; see
// Expand. The content of a placeholder is always text: it can add neither quotes nor
// members. Names of members are not expanded.
func ExpandJSON(text string) (json.RawMessage, error) {
	value, err := decodeJSON(text, Expand)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// decodeJSON decodes a JSON value, and replaces its strings with the results of expand.
func decodeJSON(text string, expand func(string) (string, error)) (any, error) {
	switch {
	case len(text) > maxJSON:
		return nil, errJSONLength
	case !utf8.ValidString(text) || !json.Valid([]byte(text)):
		return nil, errJSONSyntax
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	return jsonDecoder{dec, expand}.value(0)
}

type jsonDecoder struct {
	*json.Decoder
	expand func(string) (string, error)
}

// value decodes the next value. depth is the number of values around it.
func (d jsonDecoder) value(depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, errJSONDepth
	}
	token, err := d.Token()
	if err != nil {
		return nil, errJSONSyntax
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return d.object(depth)
		}
		return d.list(depth)
	case string:
		return d.expand(t)
	case json.Number:
		if !isExact(t.String()) {
			return nil, errJSONNumber
		}
	}
	return token, nil
}

// isExact reports whether a number is the same as a float64. Caddy decodes the numbers of
// a config into this type, which has 15 exact decimal digits.
func isExact(number string) bool {
	_, err := strconv.ParseFloat(number, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	digits := strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
	return err == nil && len(digits) <= 15
}

func (d jsonDecoder) object(depth int) (any, error) {
	members := make(map[string]any)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errJSONSyntax
		}
		key, _ := name.(string) // the decoder allows only strings here
		if _, found := members[key]; found {
			return nil, errJSONDuplicate
		}
		if members[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token() // the closing brace
	return members, err
}

func (d jsonDecoder) list(depth int) (any, error) {
	list := []any{}
	for d.More() {
		element, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, element)
	}
	_, err := d.Token() // the closing bracket
	return list, err
}
