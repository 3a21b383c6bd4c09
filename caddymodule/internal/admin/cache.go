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
	"go.uber.org/zap/zapcore"

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

	// Replicas is "notified" if the other replicas were notified through a shared
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
		return 0, nil, apiError(http.StatusBadRequest, "a flush evicts all users and takes no request body; to evict one user, use "+pathPrefix+"cache/evict")
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
		return 0, nil, apiError(http.StatusServiceUnavailable, "flushed in this process, but not in the shared store and the other replicas; flush again when the shared store is available: %w", err)
	}
	caddy.Log().Named("huma.admin").Info("cache flushed through the admin API", zap.Int("accounts", done.Accounts))
	return http.StatusOK, done, nil
}

// evict handles POST /huma/cache/evict. It evicts one user at all replicas, and releases
// the hold of the user's sign-up.
func evict(r *http.Request) (int, any, error) {
	user, service, err := readEvict(r)
	if err != nil {
		return 0, nil, err
	}
	ctx := context.WithoutCancel(r.Context()) // the store has its own timeout
	all := make(map[endpoint.TokenCache]*endpoint.Endpoint)
	var errs []error
	for e := range endpoint.Running() {
		if e.Service == service {
			all[e.TokensOf(user)] = e
			errs = append(errs, e.ReleaseHold(ctx, user))
		}
	}
	if len(all) == 0 {
		return 0, nil, apiError(http.StatusConflict, "the running config has no %s; email is for huma_token, user_id for human_api_token", service.Directive)
	}
	done, err := evictAll(all, func(c endpoint.TokenCache) error { return c.Evict(ctx) })
	for _, e := range all {
		e.Log(zapcore.InfoLevel, "user evicted through the admin API", zap.String("user", e.LogHasher.LogName(user)))
	}
	if err = errors.Join(err, errors.Join(errs...)); err != nil {
		return 0, nil, apiError(http.StatusServiceUnavailable, "evicted in this process, but perhaps not in the other replicas; evict again when the shared store is available: %w", err)
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
			done.Replicas = "notified"
		}
	}
	done.Accounts = len(accounts)
	return done, err
}

// evictBodyError returns the error for an invalid body. It describes the body to send.
func evictBodyError() error {
	return apiError(http.StatusBadRequest, `the request body must be {"email": "…"} for huma_token, or {"user_id": "…"} for human_api_token`)
}

// readEvict returns the user whom the request names, and the service that identifies its
// users like that: huma_token by email, human_api_token by user_id.
func readEvict(r *http.Request) (user identity.User, service *endpoint.Service, err error) {
	// Caddy's own admin API requires this, too: a page of another site cannot send
	// this content type without a CORS preflight request.
	if !strings.Contains(r.Header.Get("Content-Type"), "/json") {
		return user, nil, apiError(http.StatusBadRequest, "unacceptable content-type: 'application/json' required")
	}
	body, err := readBody(r)
	if err != nil {
		return user, nil, err
	}
	var fields struct {
		Email  *string `json:"email"`
		UserID *string `json:"user_id"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&fields) != nil || (fields.Email == nil) == (fields.UserID == nil) { // drop the decoder's error: it would quote the body
		return user, nil, evictBodyError()
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return user, nil, evictBodyError()
	}
	if fields.Email != nil {
		user, err = identity.UserByEmail(*fields.Email)
		service = endpoint.Huma
	} else {
		user, err = identity.UserByID(*fields.UserID)
		service = endpoint.HumanAPI
	}
	if err != nil {
		return user, nil, apiError(http.StatusBadRequest, "invalid user: %w", err)
	}
	return user, service, nil
}
