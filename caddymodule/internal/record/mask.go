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

// mask replaces every value that is not known to be harmless.
const mask = "***"

// Limits of what is shown.
const (
	maxDepth   = 6
	maxMembers = 50 // of an object or list
	maxWord    = 60 // bytes of a word
	maxDigits  = 20 // of a number
	maxCode    = 6  // digits of an error code; a longer number could be personal data
)

// maskHeader returns the lines of a header, sorted by name. A value is masked unless
// shown returns text for it.
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

// requestHeader shows the headers that every call has, and the deployment id. Headers
// that the operator configures are secrets, whatever their names are.
func requestHeader(name, value string) string {
	if name == "Deploymentid" || slices.Contains(wire.Header()[name], value) {
		return value
	}
	return ""
}

// responseHeader shows the headers that identify the server that responded, and when to
// retry.
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

// rule reports whether a value in an object may be shown. name is the name of its
// member. depth is 1 for members of the document itself.
type rule func(depth int, name string, value any) bool

// requestMembers returns the rule for the body of a request. It shows values of the
// config, which are not personal data. Members that the operator adds to a body are
// secrets, also if they have the name of a member of the other service.
func requestMembers(body []byte) rule {
	names := []string{"clientId", "projectId", "language", "timezone"}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) == nil && members["client_id"] != nil { // Human API
		names = []string{"client_id", "type", "extra_scopes"}
	}
	return func(depth int, name string, _ any) bool { return depth == 1 && slices.Contains(names, name) }
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

// maskBody returns a JSON document as text, with values masked unless shown allows them.
// If body is too long or not one JSON value, it returns the reason in parentheses.
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
	_ = enc.Encode(masked(document, shown, "", 0)) // cannot fail: document was decoded from JSON
	return strings.TrimSpace(b.String())
}

// masked returns a value of a document as it is shown.
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
			// If the value may be shown, so may a list of such values.
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

// plainName returns a name if it looks like an identifier, and mask otherwise.
func plainName(name string) string {
	if name == "" || len(name) > maxWord || strings.ContainsFunc(name, func(r rune) bool { return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("_-", r) }) {
		return mask
	}
	return name
}

// plainWord returns a word if it has none of the characters of an email address or a
// sentence, and "" otherwise.
func plainWord(text string) string {
	if len(text) > maxWord || strings.ContainsFunc(text, func(r rune) bool { return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("._-/+:", r) }) {
		return ""
	}
	return text
}

// digits returns a text of digits and dots, or "" for any other text.
func digits(text string) string {
	if len(text) > maxDigits || strings.ContainsFunc(text, func(r rune) bool { return !isDigit(r) && r != '.' }) {
		return ""
	}
	return text
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func isDigit(r rune) bool  { return '0' <= r && r <= '9' }
