package caddymodule

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// credentialSource is one service's part of a token directive.
type credentialSource interface {
	// settings evaluates the options that say whose service is called and as
	// whom, and notes what is wrong with them. It changes nothing: it is asked
	// again whenever a file that they name may have changed.
	settings(p *option.Problems) settings

	// named is what names the account.
	named() accountNames
}

// settings are those options with values in place of placeholders.
type settings interface {
	// sum is a hash of all of them.
	sum() string

	// account keys the hash that names users in caches, the same in all
	// replicas: tokens of other credentials have other names, so they are never
	// handed out. service names, for replicas, whose sign-ups these are.
	account() []byte
	service() []byte

	// tokens are the service's, as they are fetched with these settings.
	tokens(users *userHasher, locks exchange.SignUpLocks) tokenService
}

// tokenService is one service's tokens, as they are fetched with certain
// credentials.
type tokenService interface {
	// kind says which kind of token a request is for, and for which client type
	// if the service knows such, or what is wrong with it.
	kind(r *http.Request) (kind string, of exchange.ClientType, bad exchange.Code)

	// mint makes the exchange of a request. It runs without the request.
	mint(q *request) mint

	// again is the same exchange with these credentials.
	again(m mint) mint

	// releaseHold ends the hold of a user whose last sign-up had an unclear end, at
	// all replicas, if there is one.
	releaseHold(ctx context.Context, user identity.User) error
}

// credentials are what calls are made with, and what depends on it. They never
// change: others come in their place, and a request has the same from its
// beginning to its end.
type credentials struct {
	tokens tokenService
	sum    string
	loaded time.Time

	users  *userHasher // names users in caches
	policy exchange.Policy
	locks  exchange.SignUpLocks // of all replicas; nil if there are no others
	leave  func()               // what replicas share, when no exchange with these runs any more
}

// use begins with the credentials that the config was loaded with.
func (e *endpoint) use(ctx caddy.Context, s settings) error {
	c, member, err := e.newCredentials(s)
	if err != nil {
		return err
	}
	e.current.Store(c)
	e.releases.push(e.endRotation)
	e.releases.push(func() { handlers.Delete(e) })
	if err := whenStarted(ctx, func() { handlers.Store(e, nil) }); err != nil {
		return err
	}
	if member.Start != nil {
		if err := whenStarted(ctx, member.Start); err != nil {
			return err
		}
	}
	if len(e.files) == 0 {
		return nil
	}
	e.releases.push(func() { watcher.remove(e) })
	return whenStarted(ctx, func() { watcher.add(e) })
}

func (e *endpoint) newCredentials(s settings) (*credentials, exchange.Member, error) {
	account := s.account()
	c := &credentials{
		sum:    s.sum(),
		loaded: time.Now(),
		users:  newUserHasher(account),
		policy: e.policy,
		leave:  func() {},
	}
	var member exchange.Member
	if e.store != nil {
		var err error
		if member, c.leave, err = e.store.Join(string(account), string(s.service()), e.account.engine, countUnreadable); err != nil {
			return nil, member, err
		}
		c.policy.Shared, c.locks = countedStore{member.Store}, member.Locks
	}
	c.tokens = s.tokens(c.users, c.locks)
	return c, member, nil
}

var fileName = regexp.MustCompile(`{file\.([^}]+)}`)

// filesOf returns the files that options name, which may change.
func filesOf(options credentialSource) (files []string) {
	text, err := json.Marshal(options)
	var all map[string]any
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	if name, ok := all["config_file"].(string); ok {
		files = append(files, caddy.NewReplacer().ReplaceAll(name, ""))
	}
	for text := range textsIn(all) {
		for _, name := range fileName.FindAllStringSubmatch(text, -1) {
			files = append(files, name[1])
		}
	}
	return files
}

// textsIn are the texts in a JSON value.
func textsIn(v any) iter.Seq[string] {
	return func(yield func(string) bool) {
		var within func(v any) bool
		within = func(v any) bool {
			switch v := v.(type) {
			case string:
				return yield(v)
			case map[string]any:
				for _, member := range v {
					if !within(member) {
						return false
					}
				}
			case []any:
				for _, element := range v {
					if !within(element) {
						return false
					}
				}
			}
			return true
		}
		within(v)
	}
}
