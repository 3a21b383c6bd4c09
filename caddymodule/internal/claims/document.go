// Package claims parses JSON documents with claims about a user: the payload of a
// token, the value of a header, or an application's response.
package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	errNeither   = errors.New("not a JSON object or array")
	errNotBase64 = errors.New("not JSON, base64 of JSON or a JWT")
)

// Document is a parsed JSON document. The zero value is an empty document.
type Document struct{ root any }

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
		return Document{root}, nil
	}
	return Document{}, errNeither
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
