package claims

import (
	"encoding/json"
	"slices"
	"strings"
)

// Text returns the text of a value: a string, or a list of exactly one string. nil, an
// empty list and a list of one nil are "". Other types are not converted, because that
// would invent an identity: all users with the number 7 would be one user.
func Text(value any) (text string, ok bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case []string:
		if len(v) <= 1 {
			return strings.Join(v, ""), true
		}
	case []any:
		if len(v) == 0 || len(v) == 1 && v[0] == nil {
			return "", true
		}
		if len(v) == 1 {
			text, ok = v[0].(string)
		}
	}
	return text, ok
}

// IsBlank reports whether a value is null, or an empty text or list.
func IsBlank(value any) bool {
	text, ok := Text(value)
	return ok && strings.TrimSpace(text) == ""
}

// IsTrue reports whether value is true, the number 1, a time, or a text (or a list of
// one text) that means yes or is a time.
func IsTrue(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case json.Number:
		return isYes(string(v)) || isUnixTime(v)
	}
	text, ok := Text(value)
	return ok && (isYes(text) || isTime(text))
}

// IsNo reports whether value explicitly means no: false, zero, an empty text or one such
// as "no", the zero value of a time, or a list that is empty or contains one of them.
func IsNo(value any) bool {
	switch v := value.(type) {
	case bool:
		return !v
	case json.Number:
		n, err := v.Float64()
		return err == nil && n == 0
	case string:
		text := strings.TrimSpace(v)
		switch strings.ToLower(text) {
		case "", "false", "0", "no", "off", "f", "n":
			return true
		}
		return isZeroTime(text)
	case []string:
		return len(v) == 0 || slices.ContainsFunc(v, func(text string) bool { return IsNo(text) })
	case []any:
		return len(v) == 0 || slices.ContainsFunc(v, IsNo)
	}
	return false
}

// isYes reports whether text means yes.
func isYes(text string) bool {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on":
		return true
	}
	return false
}
