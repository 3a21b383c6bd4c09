package sandbox

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
	"edition":                text(func(h *Handler) *string { return &h.Edition }),
	"project_id":             text(func(h *Handler) *string { return &h.ProjectID }),
	"deployment_id":          text(func(h *Handler) *string { return &h.DeploymentID }),
	"secret":                 text(func(h *Handler) *string { return &h.Secret }),
	"auth_token_lifetime":    duration(func(h *Handler) *caddy.Duration { return &h.AuthTokenLifetime }),
	"refresh_token_lifetime": duration(func(h *Handler) *caddy.Duration { return &h.RefreshTokenLifetime }),
	"max_clock_skew":         duration(func(h *Handler) *caddy.Duration { return &h.MaxClockSkew }),
	"lifetimes_as_strings":   flag(func(h *Handler) *bool { return &h.LifetimesAsStrings }),
	"client_id":              parseClientID,
	"signature":              parseSignature,
	"human_api":              parseHumanAPI,
	"user":                   parseUser,
}

// signatureOptions are the options in the block of signature.
var signatureOptions = map[string]parseOption{
	"encoding":         text(func(h *Handler) *string { return &h.Signature.Encoding }),
	"payload":          text(func(h *Handler) *string { return &h.Signature.Payload }),
	"header_name":      text(func(h *Handler) *string { return &h.Signature.HeaderName }),
	"id":               text(func(h *Handler) *string { return &h.Signature.ID }),
	"timestamp_header": text(func(h *Handler) *string { return &h.Signature.TimestampHeader }),
}

// humanAPIOptions are the options in the block of human_api.
var humanAPIOptions = map[string]parseOption{
	"client":           parseHumanClient,
	"session_lifetime": duration(func(h *Handler) *caddy.Duration { return &h.HumanAPI.SessionLifetime }),
	"id_lifetime":      duration(func(h *Handler) *caddy.Duration { return &h.HumanAPI.IDLifetime }),
	"extra_scopes":     parseExtraScopes,
}

// repeatable are the options that may be repeated in a block.
var repeatable = []string{"client_id", "user", "client"}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Provision checks the
// values. Syntax:
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
// empty one, which would mean the default, are errors.
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

// duration returns the parser of an option with a positive duration.
func duration(field func(*Handler) *caddy.Duration) parseOption {
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
func parseSignature(h *Handler, d *caddyfile.Dispenser) (err error) {
	if h.Signature.Algorithm, err = oneArg(d); err != nil {
		return err
	}
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
	if h.HumanAPI.ExtraScopes = d.RemainingArgs(); len(h.HumanAPI.ExtraScopes) == 0 {
		return d.Err("option 'extra_scopes' takes one or more scopes")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
