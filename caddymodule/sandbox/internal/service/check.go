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

// MaxBody is the longest body of a call that is read.
const MaxBody = 64 << 10

// Rejection is why a call is not served. How it is written is the service's.
type Rejection struct {
	Status  int
	Message string
}

func reject(status int, format string, args ...any) *Rejection {
	return &Rejection{Status: status, Message: fmt.Sprintf(format, args...)}
}

// MemberType is the type of a body's member.
type MemberType string

// The types that members have.
const (
	TypeString     MemberType = "string"
	TypeObject     MemberType = "object"
	TypeBoolean    MemberType = "boolean"
	TypeDateTime   MemberType = "date-time"
	TypeStringList MemberType = "list of strings"
)

// Schema lists a body's members as the published description does.
type Schema struct {
	Members  Members
	Required []string
}

// Members are the members of a body by name.
type Members map[string]MemberType

// StringMembers are members that are texts.
func StringMembers(names ...string) Members {
	members := make(Members, len(names))
	for _, name := range names {
		members[name] = TypeString
	}
	return members
}

// With adds more members.
func (m Members) With(more Members) Members {
	maps.Copy(m, more)
	return m
}

// readBody reads a call's body. A longer one than the limit is cut one byte
// behind it, so that its length tells.
func readBody(r *http.Request) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
}

// CheckContent looks at what a body is, before it is read.
func CheckContent(r *Request) *Rejection {
	if len(r.Body) > MaxBody {
		return reject(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", MaxBody)
	}
	mediaType, params, err := mime.ParseMediaType(r.HTTP.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || !utf8Charset(params["charset"]) || r.HTTP.Header.Get("Content-Encoding") != "" {
		return reject(http.StatusUnsupportedMediaType, "the body has to be plain application/json in UTF-8")
	}
	return nil
}

func utf8Charset(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

// CheckBody compares the members of a body with the schema.
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

func hasType(value any, want MemberType) bool {
	text, isText := value.(string)
	switch want {
	case TypeString:
		return isText
	case TypeBoolean:
		_, ok := value.(bool)
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

// ParseObject reads one JSON object and nothing after it. Members that stand
// there twice, which most parsers let pass, are refused.
func ParseObject(body []byte) (map[string]any, error) {
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
		name, _ := key.(string) // the decoder lets nothing else stand here
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("member %.40q stands there twice", name)
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return members, nil
}
