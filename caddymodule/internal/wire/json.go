package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Encode returns the JSON of a request: the bytes that are sent. It is for
// bodies of texts, and lists and maps of texts, which always have a JSON form.
func Encode(body any) []byte {
	b, _ := json.Marshal(body)
	return b
}

// Object reads exactly one JSON object; else why says what it is not.
// Into a map, because a struct's members would match in any case.
func Object(body []byte) (members map[string]json.RawMessage, why string) {
	if !json.Valid(body) {
		return nil, "not JSON"
	}
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil, "not a JSON object"
	}
	return members, ""
}

// Text is the value of a JSON string, and empty for anything else.
func Text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// TextOrNumber is the value of a JSON string or the digits of a JSON number,
// and empty for anything else.
func TextOrNumber(raw json.RawMessage) string {
	if len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9') {
		return string(raw)
	}
	return Text(raw)
}

// Lifetime reads seconds, a number or a text with one, rounded down. Whatever
// is not a lifetime of at least a second is unknown, which is 0. How long is
// too long to be believed is the caller's matter: more than a Duration holds
// is the longest there is.
func Lifetime(raw json.RawMessage) time.Duration {
	s := strings.TrimSpace(TextOrNumber(raw))
	// ParseFloat would also take Inf, NaN and hexadecimals.
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0
	}
	seconds, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || seconds < 1:
		return 0
	case seconds > math.MaxInt64/float64(2*time.Second): // half of it: rounding cannot get there
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}
