package huma

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// CallOptions changes a call for an edition of the API whose calls differ from the
// published ones. The zero value changes nothing.
type CallOptions struct {
	// Path is the path below Config.API, with escapes as it is sent. It begins with a
	// slash. Empty: the published path.
	Path string

	// Body holds additional members of the body, by name. Each value is one JSON value.
	Body map[string]json.RawMessage

	// Omit lists members that are left out of the body.
	Omit []string
}

// maxMembers is the maximum length of CallOptions.Body as JSON, in bytes.
const maxMembers = 16 << 10

// identifying lists the members that identify the user or the account. They cannot be
// in CallOptions, because each of them is set for each user, or not sent at all: the same
// value for all users would issue the tokens of one user to the others.
var identifying = []string{
	"email", "clientId", "projectId", "uid", "userId", "username", "contactEmail", "phoneNumber", "password",
}

// ownMembers maps the other members that a Client sets to the option that sets them, or to
// "" if it always sets them.
var ownMembers = map[exchange.Op]map[string]string{
	exchange.OpSignIn: {"language": "language"},
	exchange.OpSignUp: {
		"ipAddress": "", "userAttributes": "attribute", "timezone": "timezone",
		"language": "language", "validationData": "activation_code",
	},
}

// CheckCalls returns an error if the options cannot be used. It joins all reasons. The
// text of each reason begins with the name of its option, and contains no value of a body.
func CheckCalls(signIn, signUp CallOptions) error {
	errs := []error{
		signIn.check("sign_in", exchange.OpSignIn),
		signUp.check("sign_up", exchange.OpSignUp),
	}
	// A sign-in is sent again and again, and is retried. As a sign-up, it would create
	// accounts without any limit.
	at := signIn.path(exchange.OpSignIn)
	if samePath(at, signUp.path(exchange.OpSignUp)) || samePath(at, paths[exchange.OpSignUp]) {
		errs = append(errs, errors.New("sign_in: path must differ from the path of sign_up, and from its published path"))
	}
	return errors.Join(errs...)
}

// path returns the path of the call.
func (o CallOptions) path(op exchange.Op) string {
	if o.Path != "" {
		return o.Path
	}
	return paths[op]
}

// samePath reports whether two paths differ only in case, escapes and slashes at the end.
func samePath(a, b string) bool {
	plain := func(path string) string {
		if unescaped, err := url.PathUnescape(path); err == nil {
			path = unescaped
		}
		return strings.TrimRight(path, "/")
	}
	return strings.EqualFold(plain(a), plain(b))
}

// check is CheckCalls for the options of one call.
func (o CallOptions) check(option string, op exchange.Op) error {
	var errs []error
	add := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(option+": "+format, args...))
	}
	if o.Path != "" && !validPath(o.Path) {
		add("path must begin with a slash, such as %s, and must not have a query, a fragment, spaces or dot segments", paths[op])
	}
	own := ownMembers[op]
	for _, name := range o.Omit {
		if _, ok := own[name]; !ok {
			add("omit: '%s' cannot be omitted: only %s can", name, strings.Join(slices.Sorted(maps.Keys(own)), ", "))
		}
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(o.Body)) {
		size += len(name) + len(o.Body[name])
		if reason := o.refuse(own, name); reason != "" {
			add("body %s", reason)
		}
	}
	if size > maxMembers {
		add("body: all members together must be at most %d bytes of JSON", maxMembers)
	}
	return errors.Join(errs...)
}

// refuse returns why name cannot be a member of Body, or "" if it can.
func (o CallOptions) refuse(own map[string]string, name string) string {
	if name == "" || !utf8.ValidString(name) {
		return "requires the name of the member, in UTF-8"
	}
	for _, other := range identifying {
		if sameName(name, other) {
			return fmt.Sprintf("%.60q: %s identifies the user or the account, and cannot be set here", name, other)
		}
	}
	for _, other := range slices.Sorted(maps.Keys(own)) {
		if !sameName(name, other) || slices.Contains(o.Omit, other) {
			continue
		}
		from := "the directive sets it"
		if own[other] != "" {
			from = "it is set by the option " + own[other]
		}
		return fmt.Sprintf("%.60q: %s; to replace %s, add: omit %s", name, from, other, other)
	}
	return ""
}

// sameName reports whether a service may take the member name for the member other. Some
// parsers ignore case, as Go's does, and some accept snake_case.
func sameName(name, other string) bool {
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, name)
	return strings.EqualFold(name, other)
}

// validPath reports whether path can be appended to a base URL as it is.
func validPath(path string) bool {
	plain, err := url.PathUnescape(path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") {
		return false
	}
	for segment := range strings.SplitSeq(plain, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	u := url.URL{Path: plain, RawPath: path}
	return u.EscapedPath() == path
}

// suffix returns the end of a body that has the members of Body after its own ones.
func (o CallOptions) suffix() []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(o.Body)) {
		key, _ := json.Marshal(name) // a string: cannot fail
		b = append(append(append(append(b, ','), key...), ':'), o.Body[name]...)
	}
	return append(b, '}')
}
