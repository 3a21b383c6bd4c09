package humatoken

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// Call changes one of the calls to Huma, for an edition of Huma's API whose calls
// differ from the published ones.
type Call struct {
	// The path of the call below api, for example /auth/v1/private/signin. It
	// must begin with a slash, and must not have a query or dot segments. The
	// paths of sign_in and sign_up must differ. Default: the published path.
	Path string `json:"path,omitempty"`

	// Additional members of the body: an object with a JSON value for each. Its
	// strings may contain placeholders, which are replaced by text; a value may
	// be a secret. All members together may have 16 KiB. A member that
	// identifies the user or the account, such as email or clientId, is an
	// error. So is a member that another option sets, unless it is in omit. A
	// name in another case, or with _ or -, counts as the same. Default: none.
	Body map[string]json.RawMessage `json:"body,omitempty"`

	// Members that are left out of the body: ipAddress, userAttributes,
	// timezone, language and validationData in sign_up, language in sign_in.
	// Default: none.
	Omit []string `json:"omit,omitempty"`
}

// parseCall returns the parser of the option sign_in or sign_up.
func parseCall(target **Call) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		c := new(Call)
		*target = c
		return option.Block(option.Options{
			"path": option.Text(&c.Path),
			"body": c.parseBody,
			"omit": option.List(&c.Omit),
		})(d)
	}
}

func (c *Call) parseBody(d *caddyfile.Dispenser) error {
	values, err := option.Values(d, 2)
	if err != nil {
		return err
	}
	key, value := values[0], values[1]
	if _, ok := c.Body[key]; ok {
		return d.Errf("duplicate option 'body' for the member '%s'", key)
	}
	if config.IsPlaceholder(value) && !strings.ContainsAny(value, `" `) { // no JSON object
		text, _ := json.Marshal(value) // a string: cannot fail
		value = string(text)
	}
	if err := option.CheckJSON(value); err != nil {
		return d.Errf("option 'body': member '%s': %v", key, err)
	}
	if c.Body == nil {
		c.Body = make(map[string]json.RawMessage)
	}
	c.Body[key] = json.RawMessage(value)
	return nil
}

// read evaluates the options of a call. name is sign_in or sign_up.
func (c *Call) read(p *option.Errors, name string) (o huma.CallOptions) {
	if c == nil {
		return o
	}
	o.Path = p.Text(name, c.Path)
	o.Omit = p.Texts(name, c.Omit)
	for _, key := range slices.Sorted(maps.Keys(c.Body)) {
		value, err := option.ExpandJSON(string(c.Body[key]))
		switch {
		case err != nil:
			p.Addf(name, "body %.60q: %w", key, err)
			continue
		case strings.Contains(string(value), "{sig."):
			p.Addf(name, "body %.60q: {sig.*} placeholders are not allowed in a body", key)
			continue
		case o.Body == nil:
			o.Body = make(map[string]json.RawMessage)
		}
		o.Body[key] = value
	}
	return o
}

// hashCall returns a hash of the options of a call.
func hashCall(o huma.CallOptions) string {
	body, _ := json.Marshal(o.Body) // valid JSON: cannot fail
	return string(userhash.DeriveKey(nil, append([]string{o.Path, string(body)}, o.Omit...)...))
}
