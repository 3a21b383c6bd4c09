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

// Refusal is why a call is not served. How it is written is the service's.
type Refusal struct {
	Status  int
	Message string
}

func refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Message: fmt.Sprintf(format, args...)}
}

// Kind is the type of a body's member.
type Kind string

// The types that members have.
const (
	KindText    Kind = "string"
	KindObject  Kind = "object"
	KindBoolean Kind = "boolean"
	KindTime    Kind = "date-time"
	KindTexts   Kind = "list of strings"
)

// Schema lists a body's members as the published description does.
type Schema struct {
	Members  Members
	Required []string
}

// Members are the members of a body by name.
type Members map[string]Kind

// Texts are members that are texts.
func Texts(names ...string) Members {
	members := make(Members, len(names))
	for _, name := range names {
		members[name] = KindText
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
func CheckContent(r *Request) *Refusal {
	if len(r.Body) > MaxBody {
		return refuse(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", MaxBody)
	}
	mediaType, params, err := mime.ParseMediaType(r.HTTP.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || !utf8Charset(params["charset"]) || r.HTTP.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, "the body has to be plain application/json in UTF-8")
	}
	return nil
}

func utf8Charset(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

// CheckBody compares the members of a body with the schema.
func CheckBody(r *Request) *Refusal {
	if r.malformed != nil {
		return refuse(http.StatusBadRequest, "invalid body: %v", r.malformed)
	}
	for name, value := range r.Members {
		want, known := r.Operation.Body.Members[name]
		if !known {
			return refuse(http.StatusBadRequest, "invalid body: unknown member %.40q", name)
		}
		if !isKind(value, want) {
			return refuse(http.StatusBadRequest, "invalid body: %s is not a %s", name, want)
		}
	}
	for _, name := range r.Operation.Body.Required {
		if _, found := r.Members[name]; !found {
			return refuse(http.StatusBadRequest, "invalid body: %s is required", name)
		}
	}
	return nil
}

func isKind(value any, want Kind) bool {
	text, isText := value.(string)
	switch want {
	case KindText:
		return isText
	case KindBoolean:
		_, ok := value.(bool)
		return ok
	case KindObject:
		_, ok := value.(map[string]any)
		return ok
	case KindTime:
		_, err := time.Parse(time.RFC3339, text)
		return isText && err == nil
	case KindTexts:
		list, ok := value.([]any)
		return ok && !slices.ContainsFunc(list, func(item any) bool { return !isKind(item, KindText) })
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
