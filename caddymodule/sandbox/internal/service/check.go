package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxBody is the maximum size of the body of a call, in bytes.
const MaxBody = 64 << 10

// Rejection is the reason why a call is rejected. API.Reject turns it into a response in
// the format of the service.
type Rejection struct {
	Status  int    // of the response
	Message string // for the client and for the log
}

// reject returns a Rejection.
func reject(status int, format string, args ...any) *Rejection {
	return &Rejection{Status: status, Message: fmt.Sprintf(format, args...)}
}

// MemberType is the type of a body's member.
type MemberType string

// The types of members.
const (
	TypeString     MemberType = "string"
	TypeObject     MemberType = "object"
	TypeBoolean    MemberType = "boolean"
	TypeNumber     MemberType = "number"
	TypeDateTime   MemberType = "date-time"
	TypeStringList MemberType = "list of strings"
)

// Schema describes the members of a body. All others are rejected.
type Schema struct {
	Members  Members  // the allowed members
	Required []string // the members that must be present
}

// Members are the types of members by name.
type Members map[string]MemberType

// StringMembers returns members of the type TypeString.
func StringMembers(names ...string) Members {
	members := make(Members, len(names))
	for _, name := range names {
		members[name] = TypeString
	}
	return members
}

// With adds members to m and returns m.
func (m Members) With(more Members) Members {
	maps.Copy(m, more)
	return m
}

// readBody reads at most MaxBody+1 bytes of the body, so that a body that is too long has
// more than MaxBody bytes.
func readBody(r *http.Request) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
}

// CheckContent checks the length of the body, Content-Type and Content-Encoding. Nil
// means that they are valid.
func CheckContent(r *Request) *Rejection {
	if len(r.Body) > MaxBody {
		return reject(http.StatusRequestEntityTooLarge, "body is longer than %d bytes", MaxBody)
	}
	mediaType, params, err := mime.ParseMediaType(r.HTTP.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || !utf8Charset(params["charset"]) || r.HTTP.Header.Get("Content-Encoding") != "" {
		return reject(http.StatusUnsupportedMediaType, "body must be application/json in UTF-8, without Content-Encoding")
	}
	return nil
}

// utf8Charset reports whether the parameter charset of Content-Type is UTF-8 or missing.
func utf8Charset(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

// CheckBody checks the body against the schema of the operation. Nil means that it is
// valid.
func CheckBody(r *Request) *Rejection {
	if r.malformed != nil {
		return reject(http.StatusBadRequest, "invalid body: %v", r.malformed)
	}
	for name, value := range r.Members {
		want, known := r.Operation.Body.Members[name]
		if !known {
			return reject(http.StatusBadRequest, "invalid body: unknown member %.40q", name)
		}
		if !hasType(value, want) {
			return reject(http.StatusBadRequest, "invalid body: %s is not a %s", name, want)
		}
	}
	for _, name := range r.Operation.Body.Required {
		if _, found := r.Members[name]; !found {
			return reject(http.StatusBadRequest, "invalid body: %s is required", name)
		}
	}
	return nil
}

// hasType reports whether a JSON value has a type.
func hasType(value any, want MemberType) bool {
	text, isText := value.(string)
	switch want {
	case TypeString:
		return isText
	case TypeBoolean:
		_, ok := value.(bool)
		return ok
	case TypeNumber:
		_, ok := value.(float64)
		return ok
	case TypeObject:
		_, ok := value.(map[string]any)
		return ok
	case TypeDateTime:
		_, err := time.Parse(time.RFC3339, text)
		return isText && err == nil
	case TypeStringList:
		list, ok := value.([]any)
		return ok && !slices.ContainsFunc(list, func(item any) bool { return !hasType(item, TypeString) })
	}
	return false
}

// parseObject parses a body that must be one JSON object. In contrast to encoding/json,
// duplicate members are an error.
func parseObject(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := make(map[string]any)
	for dec.More() {
		var value any
		key, err := dec.Token()
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			return nil, errors.New("not a JSON object")
		}
		name, _ := key.(string) // the decoder allows only strings here
		if _, found := members[name]; found {
			return nil, fmt.Errorf("duplicate member %.40q", name)
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("unexpected data after the JSON object")
	}
	return members, nil
}
