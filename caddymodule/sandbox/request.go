package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxBody is the longest body of a call that is read.
const maxBody = 64 << 10

// Codes of the service's errors, as far as they are published.
const (
	codeTokenExpired   = 10001
	codeTokenWrong     = 10002
	codeProjectInvalid = 100001
	codeClientInvalid  = 100002
	codeInvalidRequest = 100003
	codeForbiddenID    = 100004
	codeUnauthorized   = 100006
	codeUserExists     = 100010
	codeUserUnknown    = 300011
)

// refusal is why a call is not served. How it is written is the service's.
type refusal struct {
	status  int
	code    int    // of Huma
	word    string // of Human API: its errorCode; empty where none is published
	message string
}

func refuse(status, code int, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// kind is the type of a body's member.
type kind string

const (
	kindText    kind = "string"
	kindObject  kind = "object"
	kindBoolean kind = "boolean"
	kindTime    kind = "date-time"
	kindTexts   kind = "list of strings"
)

// schema lists a body's members as the published description does.
type schema struct {
	members  map[string]kind
	required []string
}

// readBody reads a call's body. A longer one than the limit is cut one byte
// behind it, so that its length tells.
func readBody(r *http.Request) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r.Body, maxBody+1))
}

// checkContent looks at what a body is, before it is read.
func checkContent(c *call) *refusal {
	if len(c.body) > maxBody {
		return refuse(http.StatusRequestEntityTooLarge, codeInvalidRequest, "the body is longer than %d bytes", maxBody)
	}
	mediaType, params, err := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || !utf8Charset(params["charset"]) || c.request.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, codeInvalidRequest, "the body has to be plain application/json in UTF-8")
	}
	return nil
}

// checkHead looks at everything that stands before the body.
func (s *Server) checkHead(c *call) *refusal {
	if ref := checkContent(c); ref != nil {
		return ref
	}
	if !c.op.signed {
		return requireHeader(c, "userAgent")
	}
	if ref := requireHeader(c, "deploymentId"); ref != nil {
		return ref
	}
	if s.cfg.Signature.Algorithm != algorithmOff {
		if ref := requireHeader(c, s.cfg.Signature.HeaderName); ref != nil {
			return ref
		}
	}
	if c.request.Header.Get("deploymentId") != s.cfg.DeploymentID {
		return refuse(http.StatusForbidden, codeForbiddenID, "forbidden id: deployment")
	}
	err := s.checkSignature(signedRequest{
		method: c.request.Method,
		target: c.target,
		host:   c.request.Host,
		tls:    c.request.TLS != nil,
		header: c.request.Header,
		body:   c.body,
	})
	if err != nil {
		return refuse(http.StatusUnauthorized, codeUnauthorized, "unauthorized: %v", err)
	}
	return nil
}

func utf8Charset(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

func requireHeader(c *call, name string) *refusal {
	values := c.request.Header.Values(name)
	if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
		return refuse(http.StatusBadRequest, codeInvalidRequest, "the header %s is required, once", name)
	}
	return nil
}

// checkBody compares the members of a body with the schema.
func checkBody(c *call) *refusal {
	if c.malformed != nil {
		return refuse(http.StatusBadRequest, codeInvalidRequest, "invalid body: %v", c.malformed)
	}
	for name, value := range c.members {
		want, known := c.op.body.members[name]
		if !known {
			return refuse(http.StatusBadRequest, codeInvalidRequest, "invalid body: unknown member %.40q", name)
		}
		if !isKind(value, want) {
			return refuse(http.StatusBadRequest, codeInvalidRequest, "invalid body: %s is not a %s", name, want)
		}
	}
	for _, name := range c.op.body.required {
		if _, found := c.members[name]; !found {
			return refuse(http.StatusBadRequest, codeInvalidRequest, "invalid body: %s is required", name)
		}
	}
	return nil
}

func isKind(value any, want kind) bool {
	text, isText := value.(string)
	switch want {
	case kindText:
		return isText
	case kindBoolean:
		_, ok := value.(bool)
		return ok
	case kindObject:
		_, ok := value.(map[string]any)
		return ok
	case kindTime:
		_, err := time.Parse(time.RFC3339, text)
		return isText && err == nil
	case kindTexts:
		list, ok := value.([]any)
		return ok && !slices.ContainsFunc(list, func(item any) bool { return !isKind(item, kindText) })
	}
	return false
}

// parseObject reads one JSON object and nothing after it. Members that stand
// there twice, which most parsers let pass, are refused.
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
