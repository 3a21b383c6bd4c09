package assertion

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// Limits for keys that are fetched by id. An id that the key server does not know is
// probably forged.
const (
	maxIDs       = 128             // more than can be fetched at once, so that a key in use is not evicted
	unknownEvery = time.Second / 5 // refill interval of the rate limit for unknown ids
	unknownBurst = 50              // burst of this rate limit
)

// keyID matches the key ids that are fetched. AWS's are UUIDs (RFC 9562, section 4).
var keyID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// Source is the location of public keys. Equal Sources have the same keys.
type Source struct {
	// URL is the location: https, or http to a local host (see CheckURL).
	URL string
	// Issuer, if not empty, is the issuer whose discovery document names the URL of the
	// keys. URL must be empty and ByID false then.
	Issuer string
	// Transport fetches the keys and the discovery document. nil: one that trusts the
	// certificate authorities of the system.
	Transport http.RoundTripper
	// ByID says that each key is at <URL>/<kid> in PEM form, as AWS serves it.
	// Otherwise the URL serves a JSON Web Key Set.
	ByID bool
}

// Keys caches the public keys of one key server in memory. It is safe for concurrent
// use and can be shared by Verifiers. It needs no Close: a goroutine runs only during a
// fetch.
type Keys struct {
	source Source
	log    Log

	set *keyCache // nil if source.ByID

	mu    sync.Mutex
	byID  map[string]*keyCacheByID
	limit *rate.Limiter // rate limit for unknown ids
	peers peerLimits
}

// keyCacheByID caches the key of one id.
type keyCacheByID struct {
	*keyCache
	used time.Time
}

// Log receives what the operator should know about keys. A nil function is not called.
type Log struct {
	// Discovered is called before each fetch with the URL of the keys, if it is from a
	// discovery document.
	Discovered func(jwksURI string)
	// FetchFailed is called with the error of each failed fetch. It contains only the
	// host and port of the URL and the status of the response.
	FetchFailed func(error)
	// KeysLeftOut is called with the reasons if keys of a response cannot be used, but
	// not again while the reasons stay the same. It contains the ids of these keys.
	KeysLeftOut func(error)
}

func (l Log) discovered(jwksURI string) {
	if l.Discovered != nil {
		l.Discovered(jwksURI)
	}
}

func (l Log) fetchFailed(err error) {
	if l.FetchFailed != nil {
		l.FetchFailed(err)
	}
}

func (l Log) keysLeftOut(reasons string) {
	if l.KeysLeftOut != nil {
		l.KeysLeftOut(errors.New(reasons))
	}
}

// NewKeys returns the keys of a source. It does not fetch them.
func NewKeys(source Source, log Log) (*Keys, error) {
	if err := source.check(); err != nil {
		return nil, err
	}
	k := &Keys{source: source, log: log}
	if source.ByID {
		k.byID = make(map[string]*keyCacheByID)
		k.limit = rate.NewLimiter(rate.Every(unknownEvery), unknownBurst)
		k.peers = make(peerLimits)
	} else {
		k.set = k.newKeyCache(k.fetchSet)
	}
	return k, nil
}

// check returns an error if keys must not or cannot be fetched from s.
func (s Source) check() error {
	if s.Issuer != "" {
		return checkIssuer(s.Issuer)
	}
	return CheckURL(s.URL)
}

// fetchSet fetches the key set, and before it the discovery document if there is one. The
// time limit of a fetch is for both.
func (k *Keys) fetchSet(ctx context.Context) (*keySet, error) {
	from := k.source.URL
	if k.source.Issuer != "" {
		var err error
		if from, err = k.discover(ctx); err != nil {
			return nil, fmt.Errorf("fetch discovery document: %w", err)
		}
		k.log.discovered(from)
	}
	set, err := k.downloadSet(ctx, from)
	if err != nil {
		err = fmt.Errorf("fetch JWKS: %w", err)
	}
	return set, err
}

// ErrKeysByID means that there is no key set: each key is fetched by its id.
var ErrKeysByID = errors.New("keys are fetched by id")

// Fetch fetches the key set now, for a command, and returns the number of usable keys.
// It does not keep the keys. For keys by id it returns ErrKeysByID.
func (k *Keys) Fetch(ctx context.Context) (usable int, err error) {
	if k.set == nil {
		return 0, ErrKeysByID
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, err := k.fetchSet(ctx)
	if err != nil {
		return 0, err
	}
	return len(set.keys), nil
}

// downloadSet returns the key set at a URL. With errNoUsableKey it returns an empty set.
func (k *Keys) downloadSet(ctx context.Context, from string) (*keySet, error) {
	b, err := k.download(ctx, from)
	if err != nil {
		return nil, err
	}
	return parseSet(b)
}

// Prefetch starts to fetch the key set if a fetch is due, and returns at once. It does
// nothing for keys by id.
func (k *Keys) Prefetch() {
	if k.set != nil {
		k.set.prefetch()
	}
}

// verify verifies the signature of a token that peer has sent.
func (k *Keys) verify(ctx context.Context, w waiter, t token, peer string) error {
	c := k.set
	if k.source.ByID {
		var err error
		if c, err = k.cacheForID(t.kid, peer); err != nil {
			return err
		}
	}
	set, err := c.get(ctx, w)
	if err != nil {
		return err
	}
	if err = set.verify(t); err == nil {
		return nil
	}
	// The key server may have added the key after this set was fetched, or replaced it by
	// another one with the same id.
	newer, fetchErr := c.newer(ctx, w, set, set.has(t.kid))
	switch {
	case fetchErr != nil:
		return fetchErr
	case newer != nil:
		return newer.verify(t)
	}
	return err
}

// cacheForID returns the cache for the key of an id. If the id is unknown, it starts a
// fetch, unless the rate limit for unknown ids of all requests or of the peer is exceeded.
func (k *Keys) cacheForID(kid, peer string) (*keyCache, error) {
	if !keyID.MatchString(kid) {
		return nil, identity.ErrAssertionKey
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.byID[kid]
	if c == nil || c.isEmpty() {
		if !k.peers.allow(peer, time.Now()) || !k.limit.Allow() {
			if c != nil && c.isRecent() {
				return c.keyCache, nil // it has the reason why there is no key
			}
			return nil, identity.ErrKeysRateLimited
		}
		k.evictOldest()
		c = &keyCacheByID{keyCache: k.newKeyCache(func(ctx context.Context) (*keySet, error) { return k.fetchID(ctx, kid) })}
		c.prefetch()
		k.byID[kid] = c
	}
	c.used = time.Now()
	return c.keyCache, nil
}

// fetchID fetches the key of an id.
func (k *Keys) fetchID(ctx context.Context, kid string) (*keySet, error) {
	u, err := url.Parse(k.source.URL)
	if err != nil {
		return nil, errURL
	}
	b, err := k.download(ctx, u.JoinPath(kid).String())
	var status statusError
	switch {
	case errors.As(err, &status) && (status == http.StatusForbidden || status == http.StatusNotFound):
		return nil, errNoKey // S3, which serves AWS's keys, responds to an unknown key with 403
	case err != nil:
		return nil, fmt.Errorf("fetch JWKS: %w", err)
	}
	set, err := parsePEM(b, kid)
	if err != nil {
		err = fmt.Errorf("fetch JWKS: %w", err)
	}
	return set, err
}

// evictOldest evicts all ids without a key. If there are still maxIDs, it evicts the
// least recently used one. k.mu must be held.
func (k *Keys) evictOldest() {
	maps.DeleteFunc(k.byID, func(_ string, c *keyCacheByID) bool { return c.isEmpty() })
	if len(k.byID) < maxIDs {
		return
	}
	var oldest string
	for id, c := range k.byID {
		if oldest == "" || c.used.Before(k.byID[oldest].used) {
			oldest = id
		}
	}
	delete(k.byID, oldest)
}
