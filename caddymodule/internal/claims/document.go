// Package claims parses JSON documents with claims about a user: the payload of a
// token, the value of a header, or an application's response. It also defines which values
// mean yes, no or nothing.
package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
)

// maxDepth is the maximum nesting depth of a document. Real documents have three or
// four levels.
const maxDepth = 32

// Errors of a document. They contain no text of it.
var (
	errNotJSON   = errors.New("not valid JSON")
	errMore      = errors.New("more than one JSON value")
	errTwice     = errors.New("duplicate member in a JSON object")
	errDeep      = fmt.Errorf("JSON nested deeper than %d levels", maxDepth)
	errNotBase64 = errors.New("not JSON, base64 of JSON or a JWT")
)

// ErrNeither is the error of a JSON value that is not an object or a list.
var ErrNeither = errors.New("not a JSON object or array")

// Document is a parsed JSON document. The zero value is an empty document.
type Document struct {
	root any
	// latin1 reports that the text was not UTF-8 and was decoded as Latin-1.
	latin1 bool
	// fromList and authType are set by FromList.
	fromList bool
	authType string
}

// ParseLatin1 is Parse for a text that is written by a component which may not encode
// JSON as UTF-8, although RFC 8259, section 8.1 requires it. If the text is not valid
// UTF-8, all of it is decoded as Latin-1 (names.ToUTF8), and IsLatin1 returns true.
func ParseLatin1(b []byte) (Document, error) {
	if utf8.Valid(b) {
		return Parse(b)
	}
	d, err := Parse([]byte(names.ToUTF8(string(b))))
	d.latin1 = err == nil
	return d, err
}

// IsLatin1 reports whether the document was not UTF-8 and was decoded as Latin-1. Its
// characters outside ASCII are then a guess: good enough for the name of a person, not
// for a value that identifies a user.
func (d Document) IsLatin1() bool { return d.latin1 }

// Parse parses one JSON object or list. Other JSON values are an error.
//
// An object with a duplicate member is an error, because parsers differ in which value
// they use (RFC 8259, section 4), and the value decides whose data is opened.
func Parse(b []byte) (Document, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	root, err := value(dec, 0)
	if err != nil {
		return Document{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Document{}, errMore
	}
	switch root.(type) {
	case map[string]any, []any:
		return Document{root: root}, nil
	}
	return Document{}, ErrNeither
}

// value parses the next value.
func value(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, errNotJSON
	}
	if _, nested := token.(json.Delim); nested && depth == maxDepth {
		return nil, errDeep
	}
	switch token {
	case json.Delim('{'):
		return object(dec, depth)
	case json.Delim('['):
		return list(dec, depth)
	}
	return token, nil // a string, a number, a bool or null
}

func object(dec *json.Decoder, depth int) (any, error) {
	members := make(map[string]any)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errNotJSON
		}
		key := name.(string) // the decoder accepts only strings here
		if _, ok := members[key]; ok {
			return nil, errTwice
		}
		if members[key], err = value(dec, depth+1); err != nil {
			return nil, err
		}
	}
	return members, end(dec)
}

func list(dec *json.Decoder, depth int) (any, error) {
	var elements []any
	for dec.More() {
		v, err := value(dec, depth+1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
	}
	return elements, end(dec)
}

// end consumes the bracket that closes an object or a list.
func end(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// Map returns the document as an object, or nil if it is not one. The caller must not
// change it. Numbers are of type json.Number.
func (d Document) Map() map[string]any {
	m, _ := d.root.(map[string]any)
	return m
}

// Size returns the approximate size of the document in memory, in bytes.
func (d Document) Size() int { return size(d.root) }

func size(value any) int {
	const word = 16 // an interface, or a string without its text
	n := word
	switch v := value.(type) {
	case string:
		n += word + len(v)
	case json.Number:
		n += word + len(v)
	case map[string]any:
		for name, member := range v {
			n += word + len(name) + size(member)
		}
	case []any:
		for _, element := range v {
			n += size(element)
		}
	}
	return n
}
