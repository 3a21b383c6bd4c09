package sandbox

import (
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("huma_sandbox", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("huma_sandbox", httpcaddyfile.Before, "respond")
}

// parseCaddyfile parses the directive huma_sandbox.
func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return handler, nil
}

// parseOption parses the arguments, and the block if there is one, of an option. The
// name of the option is the current token of d.
type parseOption func(h *Handler, d *caddyfile.Dispenser) error

// options are the options of huma_sandbox.
var options = map[string]parseOption{
	"name":                   text(func(h *Handler) *string { return &h.Name }),
	"prefix":                 text(func(h *Handler) *string { return &h.Prefix }),
	"edition":                choice(func(h *Handler) *string { return &h.Edition }, config.Editions),
	"project_id":             text(func(h *Handler) *string { return &h.ProjectID }),
	"deployment_id":          text(func(h *Handler) *string { return &h.DeploymentID }),
	"secret":                 text(func(h *Handler) *string { return &h.Secret }),
	"auth_token_lifetime":    duration(func(h *Handler) *caddy.Duration { return &h.AuthTokenLifetime }, time.Second),
	"refresh_token_lifetime": duration(func(h *Handler) *caddy.Duration { return &h.RefreshTokenLifetime }, time.Second),
	"max_clock_skew":         duration(func(h *Handler) *caddy.Duration { return &h.MaxClockSkew }, 0),
	"lifetimes_as_strings":   flag(func(h *Handler) *bool { return &h.LifetimesAsStrings }),
	"client_id":              parseClientID,
	"signature":              parseSignature,
	"human_api":              parseHumanAPI,
	"user":                   parseUser,
}

// signatureOptions are the options in the block of signature.
var signatureOptions = map[string]parseOption{
	"encoding":         choice(func(h *Handler) *string { return &h.Signature.Encoding }, config.Encodings),
	"payload":          text(func(h *Handler) *string { return &h.Signature.Payload }),
	"header_name":      text(func(h *Handler) *string { return &h.Signature.HeaderName }),
	"id":               text(func(h *Handler) *string { return &h.Signature.ID }),
	"timestamp_header": text(func(h *Handler) *string { return &h.Signature.TimestampHeader }),
}

// humanAPIOptions are the options in the block of human_api.
var humanAPIOptions = map[string]parseOption{
	"client":           parseHumanClient,
	"session_lifetime": duration(func(h *Handler) *caddy.Duration { return &h.HumanAPI.SessionLifetime }, time.Second),
	"id_lifetime":      duration(func(h *Handler) *caddy.Duration { return &h.HumanAPI.IDLifetime }, time.Second),
	"extra_scopes":     parseExtraScopes,
}

// repeatable are the options that may be repeated in a block.
var repeatable = []string{"client_id", "user", "client"}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	huma_sandbox [<matcher>] {
//		name <name>                              # name of the state; default: default
//		prefix <path>                            # path prefix of the APIs; default: none
//		edition newest|middle|oldest             # of Huma's guide; default: newest
//		project_id <id>                          # default: p1
//		deployment_id <id>                       # default: d1
//		client_id ios|android|web <id>           # repeatable; default: c1, c2, c3
//		secret <secret>                          # default: sandbox-secret
//		signature hmac-sha256|hmac-sha512|hawk|off {
//			encoding hex|base64|base64url        # default: hex
//			payload <template>                   # default: {sig.body}
//			header_name <name>                   # default: signature
//			id <id>                              # Hawk id of the client; default: sandbox
//			timestamp_header <name>              # default: X-Timestamp
//		}
//		auth_token_lifetime <duration>           # default: 15m
//		refresh_token_lifetime <duration>        # default: 45d
//		max_clock_skew <duration>                # default: 1m
//		user <email...>                          # existing users; repeatable
//		lifetimes_as_strings                     # older APIs: lifetimes are strings
//		human_api {
//			client <client_id> <client_secret>   # repeatable; default: hapi1 sandbox-secret
//			session_lifetime <duration>          # default: 1h
//			id_lifetime <duration>               # default: 24h
//			extra_scopes <scope...>              # allowed in requests; default: any
//		}
//	}
//
// Without a block, all options have their defaults. The directive is ordered before
// respond.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive name
	if d.NextArg() {
		return d.ArgErr()
	}
	return parseBlock(h, d, options)
}

// parseBlock parses a block whose options are those of table.
func parseBlock(h *Handler, d *caddyfile.Dispenser, table map[string]parseOption) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		parse, known := table[name]
		if !known {
			return d.Errf("unrecognized option '%s'", name)
		}
		if seen[name] && !slices.Contains(repeatable, name) {
			return d.Errf("duplicate option '%s'", name)
		}
		seen[name] = true
		if err := parse(h, d); err != nil {
			return err
		}
	}
	return nil
}

// oneArg returns the only argument of an option. No argument, more than one, and an
// empty one are errors.
func oneArg(d *caddyfile.Dispenser) (string, error) {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return "", d.Errf("option '%s' takes one value, not %d", name, len(args))
	}
	if args[0] == "" {
		return "", d.Errf("option '%s' must not be empty", name)
	}
	return args[0], nil
}

// text returns the parser of an option with one string.
func text(field func(*Handler) *string) parseOption {
	return func(h *Handler, d *caddyfile.Dispenser) (err error) {
		*field(h), err = oneArg(d)
		return err
	}
}

// choice returns the parser of an option with one of the given values.
func choice(field func(*Handler) *string, values []string) parseOption {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		*field(h) = value
		return oneOf(d, name, value, values)
	}
}

// oneOf returns an error unless value is one of the given values.
func oneOf(d *caddyfile.Dispenser, name, value string, values []string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return d.Errf("option '%s': unknown value '%s'; use one of %s", name, value, strings.Join(values, ", "))
}

// duration returns the parser of an option with a positive duration of at least minimum.
func duration(field func(*Handler) *caddy.Duration, minimum time.Duration) parseOption {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		parsed, err := caddy.ParseDuration(value)
		if err != nil {
			return d.Errf("option '%s' must be a duration such as 10s or 1m, not '%s'", name, value)
		}
		if parsed <= 0 {
			return d.Errf("option '%s' must be positive, not %s", name, value)
		}
		if parsed < minimum {
			return d.Errf("option '%s' must be at least %s, not %s", name, minimum, value)
		}
		*field(h) = caddy.Duration(parsed)
		return nil
	}
}

// flag returns the parser of an option without arguments.
func flag(field func(*Handler) *bool) parseOption {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name := d.Val()
		if d.NextArg() {
			return d.Errf("option '%s' takes no value", name)
		}
		*field(h) = true
		return nil
	}
}

// parseClientID parses client_id.
func parseClientID(h *Handler, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("option 'client_id' takes a client type and an id, not %d values", len(args))
	}
	clientType, id := args[0], args[1]
	if err := oneOf(d, "client_id", clientType, config.ClientTypes); err != nil {
		return err
	}
	if id == "" {
		return d.Errf("option 'client_id': the id of %s must not be empty", clientType)
	}
	if _, found := h.ClientIDs[clientType]; found {
		return d.Errf("option 'client_id': duplicate client type '%s'", clientType)
	}
	if h.ClientIDs == nil {
		h.ClientIDs = make(map[string]string)
	}
	h.ClientIDs[clientType] = id
	return nil
}

// parseUser parses user.
func parseUser(h *Handler, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("option 'user' takes at least one email address")
	}
	h.Users = append(h.Users, args...)
	return nil
}

// parseSignature parses signature with its block.
func parseSignature(h *Handler, d *caddyfile.Dispenser) error {
	algorithm, err := oneArg(d)
	if err != nil {
		return err
	}
	if err := oneOf(d, "signature", algorithm, config.Algorithms); err != nil {
		return err
	}
	h.Signature.Algorithm = algorithm
	return parseBlock(h, d, signatureOptions)
}

// parseHumanAPI parses human_api with its block.
func parseHumanAPI(h *Handler, d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("option 'human_api' takes a block, not a value")
	}
	return parseBlock(h, d, humanAPIOptions)
}

// parseHumanClient parses client in the block of human_api.
func parseHumanClient(h *Handler, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("option 'client' takes a client id and a secret, not %d values", len(args))
	}
	id, secret := args[0], args[1]
	if id == "" || secret == "" {
		return d.Err("option 'client': the client id and the secret must not be empty")
	}
	if _, found := h.HumanAPI.Clients[id]; found {
		return d.Errf("option 'client': duplicate client id '%s'", id)
	}
	if h.HumanAPI.Clients == nil {
		h.HumanAPI.Clients = make(map[string]string)
	}
	h.HumanAPI.Clients[id] = secret
	return nil
}

// parseExtraScopes parses extra_scopes in the block of human_api.
func parseExtraScopes(h *Handler, d *caddyfile.Dispenser) error {
	scopes := d.RemainingArgs()
	if len(scopes) == 0 || slices.Contains(scopes, "") {
		return d.Err("option 'extra_scopes' takes one or more scopes, which must not be empty")
	}
	h.HumanAPI.ExtraScopes = scopes
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
