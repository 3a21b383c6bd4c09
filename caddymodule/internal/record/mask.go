package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// mask stands for whatever is not known to be harmless.
const mask = "***"

// How much is shown.
const (
	maxDepth   = 6
	maxMembers = 50 // of an object or list
	maxWord    = 60 // bytes of a word
	maxDigits  = 20 // of a number
	maxCode    = 6  // digits of an error code: more could be somebody's number
)

// maskHeader is a header whose values are masked unless shown returns them.
func maskHeader(h http.Header, shown func(name, value string) string) []Field {
	var fields []Field
	for name, values := range h {
		for _, value := range values {
			fields = append(fields, Field{plainName(name), cmp.Or(shown(http.CanonicalHeaderKey(name), value), mask)})
		}
	}
	slices.SortStableFunc(fields, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	return fields
}

// requestHeader shows what every call has, and the id of the deployment. A
// header that the operator sets is a secret, whatever its name is.
func requestHeader(name, value string) string {
	if name == "Deploymentid" || slices.Contains(wire.Header()[name], value) {
		return value
	}
	return ""
}

// responseHeader shows what tells who has answered, and when to ask again.
func responseHeader(name, value string) string {
	switch name {
	case "Content-Type":
		mediaType, _, _ := mime.ParseMediaType(value)
		return plainWord(mediaType)
	case "Date", "Retry-After":
		if at, err := http.ParseTime(value); err == nil {
			return at.UTC().Format(http.TimeFormat)
		}
		return digits(value)
	case "Content-Length":
		return digits(value)
	case "Location":
		if u, err := url.Parse(value); err == nil && u.Host != "" {
			return u.Scheme + "://" + u.Host + "/" + mask
		}
	case "Server", "X-Humanapi-Request-Id":
		return plainWord(value)
	}
	return ""
}

// rule decides whether a value may be shown that stands in an object under a
// name. depth is 1 for members of the document itself.
type rule func(depth int, name string, value any) bool

// requestMembers shows what the config itself says, which is not about a person.
func requestMembers(depth int, name string, _ any) bool {
	switch name {
	case "clientId", "projectId", "language", "timezone", "client_id", "type", "extra_scopes":
		return depth == 1
	}
	return false
}

// responseMembers shows lifetimes and the services' published error codes.
func responseMembers(_ int, name string, value any) bool {
	text, _ := value.(string)
	if n, ok := value.(json.Number); ok {
		text = n.String()
	}
	switch name {
	case "authTokenExpiresIn", "refreshTokenExpiresIn", "expiresIn", "expires_in", "id_token_expires_in":
		return digits(text) != ""
	case "code":
		if len(text) <= maxCode && digits(text) != "" {
			return true
		}
	}
	return connect.IsErrorCode(text)
}

// maskBody is a JSON document whose values are masked unless shown allows them.
// Of anything else there is only said how long it is.
func maskBody(body []byte, shown rule) string {
	switch {
	case len(body) == 0:
		return ""
	case len(body) > maxBody:
		return "(longer than 64 KiB)"
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var document any
	if err := dec.Decode(&document); err != nil {
		return fmt.Sprintf("(not JSON, %d bytes)", len(body))
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Sprintf("(more than one JSON value, %d bytes)", len(body))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(masked(document, shown, "", 0)) // it came from JSON
	return strings.TrimSpace(b.String())
}

// masked is a value of a document as it is shown.
func masked(value any, shown rule, name string, depth int) any {
	switch v := value.(type) {
	case nil:
		return v
	case map[string]any:
		return maskedObject(v, shown, depth+1)
	case []any:
		if len(v) > maxMembers {
			return mask
		}
		list := make([]any, len(v))
		for i, e := range v {
			// What may be shown may be shown as a list of it.
			list[i] = masked(e, shown, name, depth)
			if _, nested := e.([]any); nested {
				list[i] = mask
			}
		}
		return list
	}
	if value == "" || shown(depth, name, value) {
		return value
	}
	return mask
}

func maskedObject(members map[string]any, shown rule, depth int) any {
	if depth > maxDepth || len(members) > maxMembers {
		return mask
	}
	object := make(map[string]any, len(members))
	for name, value := range members {
		object[plainName(name)] = masked(value, shown, name, depth)
	}
	return object
}

// plainName is a name as it is shown: one that a programmer would have given.
func plainName(name string) string {
	if name == "" || len(name) > maxWord || strings.ContainsFunc(name, func(r rune) bool { return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("_-", r) }) {
		return mask
	}
	return name
}

// plainWord returns a word without anything that an address or a sentence would
// have in it, and else nothing.
func plainWord(text string) string {
	if len(text) > maxWord || strings.ContainsFunc(text, func(r rune) bool { return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("._-/+:", r) }) {
		return ""
	}
	return text
}

// digits returns a text of digits, and else nothing.
func digits(text string) string {
	if len(text) > maxDigits || strings.ContainsFunc(text, func(r rune) bool { return !isDigit(r) && r != '.' }) {
		return ""
	}
	return text
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func isDigit(r rune) bool  { return '0' <= r && r <= '9' }
