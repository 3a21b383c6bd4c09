package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Encode returns the JSON body of a request. body may contain only strings, and lists,
// maps and structs of them, which can always be encoded.
func Encode(body any) []byte {
	b, _ := json.Marshal(body)
	return b
}

// Object parses exactly one JSON object. If body is something else, reason says what is
// wrong, and members is nil. It parses into a map, because the fields of a struct would
// also match members in another case.
func Object(body []byte) (members map[string]json.RawMessage, reason string) {
	if !json.Valid(body) {
		return nil, "not JSON"
	}
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil, "not a JSON object"
	}
	return members, ""
}

// Text returns the value of a JSON string, or "" for any other value.
func Text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// TextOrNumber returns the value of a JSON string or the digits of a JSON number, or ""
// for any other value.
func TextOrNumber(raw json.RawMessage) string {
	if len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9') {
		return string(raw)
	}
	return Text(raw)
}

// Lifetime parses a lifetime in seconds, a JSON number or a string with one, and rounds
// it down. It returns 0 (unknown) if the value is invalid or less than a second. A
// lifetime that exceeds a Duration is returned as the largest Duration. There is no
// other maximum; the caller decides which lifetime is too long.
func Lifetime(raw json.RawMessage) time.Duration {
	s := strings.TrimSpace(TextOrNumber(raw))
	// ParseFloat also accepts Inf, NaN and hexadecimal numbers.
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0
	}
	seconds, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || seconds < 1:
		return 0
	case seconds > math.MaxInt64/float64(2*time.Second): // half of the maximum, so that rounding cannot overflow
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}
