package humanapitoken

import (
	"cmp"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/apiurl"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/refreshtoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/sealkeys"
)

// RefreshTokens saves the refresh tokens of Human API (id_refresh_token), which it sends
// with each id token, in Caddy's storage: the files or the database of the global option
// storage. Human API has not published what they are for; its guide asks to save them.
//
// There is one object for each user, encrypted and under a name that does not reveal the
// user. A new refresh token replaces it. An object has no expiry: the command
// `caddy huma refresh-token` reads and deletes it.
//
// Tokens are saved in the background, at most 1,000 at a time: no request waits for the
// storage or fails because of it. A token that cannot be saved is lost; it is counted in
// caddy_huma_refresh_tokens_total, and the log has a warning. When the process exits, it
// waits up to 5 seconds for tokens that are not saved yet.
type RefreshTokens struct {
	// The keys that encrypt the objects: base64 of 32 bytes each, for example from
	// `head -c 32 /dev/urandom | base64`. The first key encrypts, all of them decrypt.
	// To replace a key, put the new one first, and run `caddy huma refresh-token
	// --reseal`: objects of a key that is removed before that are lost. The files of
	// {file.*} are read when the config is loaded. Required.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`
}

// refreshTokens saves the refresh tokens of all handlers of the process.
var refreshTokens refreshtoken.Writer

// parseRefreshTokens parses the option refresh_tokens. The word storage stands for Caddy's
// storage.
func (h *HumanAPIToken) parseRefreshTokens(d *caddyfile.Dispenser) error {
	var where string
	h.RefreshTokens = new(RefreshTokens)
	return option.WithValue(option.Enum(&where, "storage"), option.Options{
		"encryption_keys": sealkeys.Parse(&h.RefreshTokens.EncryptionKeys),
	})(d)
}

// ReadRefreshTokenKeys evaluates the option refresh_tokens, and adds all errors to p. It
// returns nil without the option.
func (h *HumanAPIToken) ReadRefreshTokenKeys(p *option.Errors) refreshtoken.Keys {
	if h.RefreshTokens == nil {
		return nil
	}
	var own option.Errors
	secrets := sealkeys.Read(h.RefreshTokens.EncryptionKeys, &own)
	if len(own) > 0 {
		*p = append(*p, own...)
		return nil
	}
	keys, err := refreshtoken.NewKeys(secrets)
	p.Add("encryption_keys", err)
	return keys
}

// RefreshTokenUser returns the user whose refresh tokens the handler saves, by the user's
// ID. It adds all errors in the options to p.
func (h *HumanAPIToken) RefreshTokenUser(id string, p *option.Errors) refreshtoken.User {
	u := refreshtoken.User{ClientID: p.Text("client_id", h.ClientID), ID: masked.New(id)}
	api, err := apiurl.Parse(p.Text("api", cmp.Or(h.API, defaultAPI)))
	p.Add("api", err)
	if err == nil {
		u.API = api.String()
	}
	return u
}

// startRefreshTokens makes the storage of the config that of refreshTokens when the config
// has started. It does nothing for a handler that saves no refresh tokens, except for the
// metrics.
func (h *HumanAPIToken) startRefreshTokens(ctx caddy.Context) error {
	metrics.StartRefreshTokens()
	if h.refreshKeys == nil {
		return nil
	}
	return lifecycle.OnStarted(ctx, func() { refreshTokens.SetStorage(ctx.Storage()) })
}

// onRefreshToken returns the function that saves the refresh tokens of an account, or nil
// if they are not saved. Commands save none.
func (s *settings) onRefreshToken() func(user, token masked.String) {
	h := s.h
	if h.refreshKeys == nil || h.endpoint.DryRun != nil {
		return nil
	}
	return func(user, token masked.String) {
		done := func(err error) {
			metrics.CountRefreshToken(err)
			if err != nil {
				h.endpoint.LogRefreshTokenError(err)
			}
		}
		name, value, err := h.refreshKeys.Seal(refreshtoken.Record{
			User:  refreshtoken.User{API: s.API.String(), ClientID: s.ClientID, ID: user},
			Token: token,
			Saved: time.Now(),
		})
		if err != nil {
			done(err)
			return
		}
		refreshTokens.Write(name, value, done)
	}
}
