package claims

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// timeLayouts are the forms in which applications and databases write a time. A fraction
// of a second may follow the seconds.
var timeLayouts = [...]string{
	time.RFC3339,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05Z07",
	"2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05 Z07:00",
	"2006-01-02 15:04:05 Z0700",
	"2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05",
	time.DateOnly,
	http.TimeFormat,
	time.RFC1123Z,
}

// parseTime parses a time in one of timeLayouts.
func parseTime(text string) (time.Time, bool) {
	if len(text) < len(time.DateOnly) || len(text) > 64 {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// isTime reports whether text is a time, but not a zero time.
func isTime(text string) bool {
	t, ok := parseTime(text)
	return ok && !isZero(t)
}

// isZeroTime reports whether text is a value that languages and databases write in place
// of a time that is not set: a year 0 or 1, as in Go, .NET and MySQL, or the Unix epoch.
func isZeroTime(text string) bool {
	if strings.HasPrefix(text, "0000-00-00") { // MySQL; not a valid date
		return true
	}
	t, ok := parseTime(text)
	return ok && isZero(t)
}

func isZero(t time.Time) bool { return t.UTC().Year() <= 1 || t.Unix() == 0 }

// The range of numbers that are a time: seconds since the Unix epoch from the year 2000,
// up to milliseconds in the year 9999.
const (
	minUnixTime = 946684800
	maxUnixTime = 253402300799999
)

// isUnixTime reports whether n is a time in seconds or milliseconds since the Unix epoch.
func isUnixTime(n json.Number) bool {
	v, err := n.Float64()
	return err == nil && v >= minUnixTime && v <= maxUnixTime
}
