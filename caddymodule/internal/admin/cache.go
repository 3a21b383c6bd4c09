package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// flushTimeout is the timeout of a flush of the shared store. It is long, because the
// flush visits each key of the store.
const flushTimeout = time.Minute

// evictResult is the response to POST /huma/cache/flush and POST /huma/cache/evict.
type evictResult struct {
	// Accounts is the number of accounts whose caches were flushed, or from which
	// the user was evicted.
	Accounts int `json:"accounts"`

	// Replicas is "told" if the other replicas were notified through a shared
	// store, or "none" if there is no shared store.
	Replicas string `json:"replicas"`
}

// flush handles POST /huma/cache/flush. It evicts all users of all accounts, at all
// replicas, and releases the holds of sign-ups in this process.
func flush(r *http.Request) (int, any, error) {
	body, err := readBody(r)
	switch {
	case err != nil:
		return 0, nil, err
	case len(body) > 0: // the client may want to evict one user
		return 0, nil, apiError(http.StatusBadRequest, "a flush takes no body, and forgets all users: to forget one use "+pathPrefix+"cache/evict")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), flushTimeout)
	defer cancel()
	all := make(map[endpoint.TokenCache]*endpoint.Endpoint)
	for e := range endpoint.Running() {
		all[e.TokenCache()] = e
	}
	account.Registrations.ReleaseAll()
	done, err := evictAll(all, func(c endpoint.TokenCache) error { return c.Flush(ctx) })
	if err != nil {
		return 0, nil, apiError(http.StatusServiceUnavailable, "flushed in this process, and not in the shared store and at the other replicas: flush again when it can be used: %w", err)
	}
	caddy.Log().Named("huma.admin").Info("the cache was flushed over the admin API", zap.Int("accounts", done.Accounts))
	return http.StatusOK, done, nil
}

// evict handles POST /huma/cache/evict. It evicts one user at all replicas, and releases
// the hold of the user's sign-up.
func evict(r *http.Request) (int, any, error) {
	user, p, err := readEvict(r)
	if err != nil {
		return 0, nil, err
	}
	ctx := context.WithoutCancel(r.Context()) // the store has its own timeout
	all := make(map[endpoint.TokenCache]*endpoint.Endpoint)
	var held []error
	for e := range endpoint.Running() {
		if e.Service == p {
			all[e.TokensOf(user)] = e
			held = append(held, e.ReleaseHold(ctx, user))
		}
	}
	if len(all) == 0 {
		return 0, nil, apiError(http.StatusConflict, "the running config has no %s, whose users are told apart by what the body names", p.Directive)
	}
	done, err := evictAll(all, func(c endpoint.TokenCache) error { return c.Evict(ctx) })
	for _, e := range all {
		e.Logger.Info("a user was evicted over the admin API", zap.String("user", e.LogHasher.LogName(user)))
	}
	if err = errors.Join(err, errors.Join(held...)); err != nil {
		return 0, nil, apiError(http.StatusServiceUnavailable, "evicted in this process, and perhaps not at the other replicas: evict again when the shared store can be used: %w", err)
	}
	return http.StatusOK, done, nil
}

// evictAll calls evict for each cache, also if some calls fail, and joins their errors.
func evictAll(all map[endpoint.TokenCache]*endpoint.Endpoint, evict func(endpoint.TokenCache) error) (done evictResult, err error) {
	done.Replicas = "none"
	accounts := make(map[*account.Account]bool)
	for c := range all {
		err = errors.Join(err, evict(c))
		accounts[c.Account] = true
		if c.Shared != nil {
			done.Replicas = "told"
		}
	}
	done.Accounts = len(accounts)
	return done, err
}

// errEvict returns the error for an invalid body. It describes the body to send.
func errEvict() error {
	return apiError(http.StatusBadRequest, `the body must be {"email": "…"} for users of huma_token, or {"user_id": "…"} for those of human_api_token`)
}

// readEvict returns the user whom the request names, and the service that identifies its
// users like that: huma_token by email, human_api_token by user_id.
func readEvict(r *http.Request) (user identity.User, p *endpoint.Service, err error) {
	// Caddy's own admin API requires this, too: a page of another site cannot send
	// this content type without a CORS preflight request.
	if !strings.Contains(r.Header.Get("Content-Type"), "/json") {
		return user, nil, apiError(http.StatusBadRequest, "unacceptable content-type: 'application/json' required")
	}
	body, err := readBody(r)
	if err != nil {
		return user, nil, err
	}
	var whom struct {
		Email  *string `json:"email"`
		UserID *string `json:"user_id"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&whom) != nil || (whom.Email == nil) == (whom.UserID == nil) { // drop the decoder's error: it would quote the body
		return user, nil, errEvict()
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return user, nil, errEvict()
	}
	if whom.Email != nil {
		user, err = identity.UserByEmail(*whom.Email)
		p = endpoint.Huma
	} else {
		user, err = identity.UserByID(*whom.UserID)
		p = endpoint.HumanAPI
	}
	if err != nil {
		return user, nil, apiError(http.StatusBadRequest, "nobody has that name: %w", err)
	}
	return user, p, nil
}
