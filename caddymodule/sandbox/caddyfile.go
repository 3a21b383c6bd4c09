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

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return handler, nil
}

// parseOption reads the arguments (and the block) of one option.
type parseOption func(h *Handler, d *caddyfile.Dispenser) error

// options are the subdirectives of huma_sandbox.
var options = map[string]parseOption{
	"name":                   text(func(h *Handler) *string { return &h.Name }),
	"prefix":                 text(func(h *Handler) *string { return &h.Prefix }),
	"project_id":             text(func(h *Handler) *string { return &h.ProjectID }),
	"deployment_id":          text(func(h *Handler) *string { return &h.DeploymentID }),
	"secret":                 text(func(h *Handler) *string { return &h.Secret }),
	"auth_token_lifetime":    duration(func(h *Handler) *caddy.Duration { return &h.AuthTokenLifetime }, time.Second),
	"refresh_token_lifetime": duration(func(h *Handler) *caddy.Duration { return &h.RefreshTokenLifetime }, time.Second),
	"max_clock_skew":         duration(func(h *Handler) *caddy.Duration { return &h.MaxClockSkew }, 1),
	"sign_up_without_token":  flag(func(h *Handler) *bool { return &h.SignUpWithoutToken }),
	"lifetimes_as_strings":   flag(func(h *Handler) *bool { return &h.LifetimesAsStrings }),
	"client_id":              parseClientID,
	"signature":              parseSignature,
	"human_api":              parseHumanAPI,
	"user":                   parseUser,
}

// signatureOptions are the subdirectives of signature.
var signatureOptions = map[string]parseOption{
	"encoding":         choice(func(h *Handler) *string { return &h.Signature.Encoding }, config.Encodings),
	"payload":          text(func(h *Handler) *string { return &h.Signature.Payload }),
	"header_name":      text(func(h *Handler) *string { return &h.Signature.HeaderName }),
	"id":               text(func(h *Handler) *string { return &h.Signature.ID }),
	"timestamp_header": text(func(h *Handler) *string { return &h.Signature.TimestampHeader }),
}

// humanAPIOptions are the subdirectives of human_api.
var humanAPIOptions = map[string]parseOption{
	"client":           parseHumanClient,
	"session_lifetime": duration(func(h *Handler) *caddy.Duration { return &h.HumanAPI.SessionLifetime }, time.Second),
	"id_lifetime":      duration(func(h *Handler) *caddy.Duration { return &h.HumanAPI.IDLifetime }, time.Second),
	"extra_scopes":     parseExtraScopes,
}

// repeatable options may stand in a block more than once.
var repeatable = []string{"client_id", "user", "client"}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	huma_sandbox [<matcher>] {
//		name <name>                              # of the state; default: default
//		prefix <path>                            # in front of the APIs' endpoints; default: none
//		project_id <id>                          # default: p1
//		deployment_id <id>                       # default: d1
//		client_id ios|android|web <id>           # repeatable; default: c1, c2, c3
//		secret <secret>                          # default: sandbox-secret
//		signature hmac-sha256|hmac-sha512|hawk|off {
//			encoding hex|base64|base64url        # default: hex
//			payload <template>                   # default: {sig.body}
//			header_name <name>                   # default: signature
//			id <id>                              # of the Hawk caller; default: sandbox
//			timestamp_header <name>              # default: X-Timestamp
//		}
//		auth_token_lifetime <duration>           # default: 15m
//		refresh_token_lifetime <duration>        # default: 45d
//		max_clock_skew <duration>                # default: 1m
//		user <email...>                          # registered from the start; repeatable
//		sign_up_without_token                    # the older sign-up, answers only the uid
//		lifetimes_as_strings                     # the older answers; Human API's too
//		human_api {
//			client <client_id> <client_secret>   # repeatable; default: hapi1 sandbox-secret
//			session_lifetime <duration>          # default: 1h
//			id_lifetime <duration>               # default: 24h
//			extra_scopes <scope...>              # that may be asked for; default: any
//		}
//	}
//
// Without a block everything has its default. The directive runs before
// respond, so no order has to be given.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	return parseBlock(h, d, options)
}

// parseBlock reads a block by a table of its options.
func parseBlock(h *Handler, d *caddyfile.Dispenser, table map[string]parseOption) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		parse, known := table[name]
		if !known {
			return d.Errf("unknown option %q", name)
		}
		if seen[name] && !slices.Contains(repeatable, name) {
			return d.Errf("option %s is repeated", name)
		}
		seen[name] = true
		if err := parse(h, d); err != nil {
			return err
		}
	}
	return nil
}

// oneArg reads exactly one argument that is not empty.
func oneArg(d *caddyfile.Dispenser) (string, error) {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return "", d.Errf("%s takes one value, not %d", name, len(args))
	}
	if args[0] == "" {
		return "", d.Errf("%s: the value is empty", name)
	}
	return args[0], nil
}

func text(field func(*Handler) *string) parseOption {
	return func(h *Handler, d *caddyfile.Dispenser) (err error) {
		*field(h), err = oneArg(d)
		return err
	}
}

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

func oneOf(d *caddyfile.Dispenser, name, value string, values []string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return d.Errf("%s: %q is not one of %s", name, value, strings.Join(values, ", "))
}

func duration(field func(*Handler) *caddy.Duration, least time.Duration) parseOption {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		parsed, err := caddy.ParseDuration(value)
		if err != nil {
			return d.Errf("%s: %q is not a duration", name, value)
		}
		if parsed < least {
			return d.Errf("%s: %s is too short", name, value)
		}
		*field(h) = caddy.Duration(parsed)
		return nil
	}
}

func flag(field func(*Handler) *bool) parseOption {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name := d.Val()
		if d.NextArg() {
			return d.Errf("%s takes no value", name)
		}
		*field(h) = true
		return nil
	}
}

func parseClientID(h *Handler, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("client_id takes a kind and an id, not %d values", len(args))
	}
	kind, id := args[0], args[1]
	if err := oneOf(d, "client_id", kind, config.ClientTypes); err != nil {
		return err
	}
	if id == "" {
		return d.Errf("client_id %s: the id is empty", kind)
	}
	if _, twice := h.ClientIDs[kind]; twice {
		return d.Errf("client_id %s is repeated", kind)
	}
	if h.ClientIDs == nil {
		h.ClientIDs = make(map[string]string)
	}
	h.ClientIDs[kind] = id
	return nil
}

func parseUser(h *Handler, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("user takes at least one e-mail address")
	}
	h.Users = append(h.Users, args...)
	return nil
}

func parseSignature(h *Handler, d *caddyfile.Dispenser) error {
	algorithm, err := oneArg(d)
	if err != nil {
		return err
	}
	if err := oneOf(d, "signature", algorithm, config.Algorithms); err != nil {
		return err
	}
	h.Signature = &Signature{Algorithm: algorithm}
	return parseBlock(h, d, signatureOptions)
}

func parseHumanAPI(h *Handler, d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("human_api takes a block and no value")
	}
	h.HumanAPI = new(HumanAPI)
	return parseBlock(h, d, humanAPIOptions)
}

func parseHumanClient(h *Handler, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("client takes a client id and its secret, not %d values", len(args))
	}
	id, secret := args[0], args[1]
	if id == "" || secret == "" {
		return d.Err("client: the id or the secret is empty")
	}
	if _, twice := h.HumanAPI.Clients[id]; twice {
		return d.Errf("client %s is repeated", id)
	}
	if h.HumanAPI.Clients == nil {
		h.HumanAPI.Clients = make(map[string]string)
	}
	h.HumanAPI.Clients[id] = secret
	return nil
}

func parseExtraScopes(h *Handler, d *caddyfile.Dispenser) error {
	scopes := d.RemainingArgs()
	if len(scopes) == 0 || slices.Contains(scopes, "") {
		return d.Err("extra_scopes takes at least one scope, and none that is empty")
	}
	h.HumanAPI.ExtraScopes = scopes
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
