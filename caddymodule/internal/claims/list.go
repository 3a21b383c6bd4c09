package claims

import (
	"slices"
	"strings"
)

// FromList converts a list of claims to one object. Azure's App Service sends such
// lists: {"auth_typ": …, "claims": [{"typ": …, "val": …}]}. A claim that occurs with
// several values becomes a list of them; empty ones are left out. A claim with one value
// is also available as the element 0 of a list. A type that is a URI with /claims/ in it
// is also available under its end, slashes included: /claims/emailaddress.
func (d Document) FromList() Document {
	entries, _ := d.Lookup(Path{"claims"}).([]any)
	values := make(map[string][]any)
	add := func(name string, value any) {
		if !slices.ContainsFunc(values[name], func(v any) bool { return isSameText(v, value) }) {
			values[name] = append(values[name], value)
		}
	}
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		name, _ := entry["typ"].(string)
		if name == "" {
			continue
		}
		add(name, entry["val"])
		if i := strings.LastIndex(name, "/claims/"); i > 0 {
			add(name[i:], entry["val"])
		}
	}
	members := make(map[string]any, len(values))
	for name, several := range values {
		if len(several) > 1 {
			several = slices.DeleteFunc(several, isEmpty)
		}
		switch len(several) {
		case 0: // empty ones alone
			members[name] = ""
		case 1:
			members[name] = several[0]
		default:
			members[name] = several
		}
	}
	authType, _ := d.Lookup(Path{"auth_typ"}).(string)
	return Document{root: members, latin1: d.latin1, fromList: true, authType: authType}
}

// AuthType returns the member auth_typ of the document that FromList converted: the
// identity provider, such as aad for Microsoft Entra ID.
func (d Document) AuthType() string { return d.authType }

// isSameText reports whether two values are the same text.
func isSameText(a, b any) bool {
	text, ok := a.(string)
	other, isText := b.(string)
	return ok && isText && text == other
}

// isEmpty reports whether a value is null or a text without a visible character.
func isEmpty(v any) bool {
	text, ok := v.(string)
	return v == nil || ok && strings.TrimSpace(text) == ""
}
