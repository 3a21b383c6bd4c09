package claims

import (
	"encoding/json"
	"testing"
)

// TestValues checks what values mean.
func TestValues(t *testing.T) {
	type list = []any
	for _, c := range []struct {
		value           any
		text            string
		isText          bool
		isTrue, isFalse bool
	}{
		{nil, "", true, false, false},
		{"", "", true, false, true},
		{"a", "a", true, false, false},
		{"Yes", "Yes", true, true, false},
		{" OFF\t", " OFF\t", true, false, true},
		{"2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z", true, true, false},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", true, false, true},
		{true, "", false, true, false},
		{false, "", false, false, true},
		{json.Number("1"), "", false, true, false},
		{json.Number("0"), "", false, false, true},
		{json.Number("7"), "", false, false, false},
		{json.Number("1714557600"), "", false, true, false},
		{[]string{}, "", true, false, true},
		{[]string{"on"}, "on", true, true, false},
		{[]string{"on", "no"}, "", false, false, true},
		{list{}, "", true, false, true},
		{list{nil}, "", true, false, false},
		{list{"true"}, "true", true, true, false},
		{list{true}, "", false, false, false},
		{list{"a", false}, "", false, false, true},
		{list{list{"a"}}, "", false, false, false},
		{map[string]any{}, "", false, false, false},
	} {
		text, isText := Text(c.value)
		if text != c.text || isText != c.isText {
			t.Errorf("Text(%#v) = %q, %t", c.value, text, isText)
		}
		if isTrue, isFalse := IsTrue(c.value), IsNo(c.value); isTrue != c.isTrue || isFalse != c.isFalse {
			t.Errorf("%#v: IsTrue %t, IsNo %t", c.value, isTrue, isFalse)
		}
		if IsBlank(c.value) != (isText && text == "") {
			t.Errorf("IsBlank(%#v)", c.value)
		}
	}
}
