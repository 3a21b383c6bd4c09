package huma

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// Header is a header of a request to the service. Its value is a secret.
type Header struct {
	Name  string // sent in this spelling over HTTP/1.1
	Value masked.String
}

// timestampPlaceholder in the value of a Header is replaced by the signed time.
const timestampPlaceholder = "{sig.timestamp}"

// reserved are the headers that only this package and the transport may set: those that
// frame the request or are signed, and those that would let the transport decompress a
// response or send a request twice.
var reserved = map[string]bool{
	"Accept-Encoding":   true,
	"Connection":        true,
	"Content-Encoding":  true,
	"Content-Length":    true,
	"Content-Type":      true,
	"Expect":            true,
	"Host":              true,
	"Idempotency-Key":   true,
	"Keep-Alive":        true,
	"Proxy-Connection":  true,
	"Te":                true,
	"Trailer":           true,
	"Transfer-Encoding": true,
	"Upgrade":           true,
	"X-Idempotency-Key": true,
}

// Check returns an error if h cannot be an additional header. It joins all reasons. It
// names the header, but not its value.
func (h Header) Check() error {
	if !validName(h.Name) {
		return fmt.Errorf("%q is not a valid header name", h.Name)
	}
	var errs []error
	if reserved[http.CanonicalHeaderKey(h.Name)] {
		errs = append(errs, fmt.Errorf("the header %s cannot be set", h.Name))
	}
	if strings.ContainsFunc(h.Value.Reveal(), func(r rune) bool { return r != '\t' && r < ' ' || r == 0x7f }) {
		errs = append(errs, fmt.Errorf("%s: the value must not contain line breaks or control characters", h.Name))
	}
	if strings.Contains(strings.ReplaceAll(h.Value.Reveal(), timestampPlaceholder, ""), "{sig.") {
		errs = append(errs, fmt.Errorf("%s: unsupported {sig.*} placeholder: only %s is allowed in a header", h.Name, timestampPlaceholder))
	}
	return errors.Join(errs...)
}

// validName reports whether name is a token (RFC 9110, section 5.6.2).
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// replaceHeaders sets headers in h, in their own spelling. They replace those that h
// has in any spelling. A name given twice is sent twice. Reserved headers are skipped.
func replaceHeaders(h http.Header, headers []Header, now time.Time) {
	isReserved := func(header Header) bool { return reserved[http.CanonicalHeaderKey(header.Name)] }
	headers = slices.DeleteFunc(slices.Clone(headers), isReserved)
	for _, header := range headers {
		maps.DeleteFunc(h, func(name string, _ []string) bool { return strings.EqualFold(name, header.Name) })
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	for _, header := range headers {
		name := header.Name
		// With another spelling, the transport would add its own User-Agent.
		if strings.EqualFold(name, "User-Agent") {
			name = "User-Agent"
		}
		value := strings.ReplaceAll(header.Value.Reveal(), timestampPlaceholder, timestamp)
		h[name] = append(h[name], value)
	}
}
