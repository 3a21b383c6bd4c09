package assertion

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// The bounds of keys that are fetched one by one. An id that the key server
// does not know comes from nobody or from an attacker.
const (
	maxIDs       = 128             // more than can be asked for at once, so that none in use is pushed out
	unknownEvery = time.Second / 5 // how often an id that is not known is asked for,
	unknownBurst = 50              // and how often at once
)

// keyID is what an id may look like that becomes a part of a URL.
var keyID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// Source is where public keys come from. Two that are equal serve the same
// keys.
type Source struct {
	// URL is where the keys are: https, or http to this machine.
	URL string
	// ByID: there is one key at <URL>/<kid>, in PEM form, as AWS has it.
	// Otherwise a JSON Web Key Set is at the URL.
	ByID bool
}

// Keys are the public keys of one key server, kept in memory. They may be
// used concurrently and by any number of Verifiers. They hold nothing that has
// to be closed: a goroutine runs only while keys are being fetched.
type Keys struct {
	source  Source
	onError func(error)

	set *keyCache // unless source.ByID

	mu    sync.Mutex
	byID  map[string]*keyCacheByID
	limit *rate.Limiter // on asking for ids that are not known
}

// keyCacheByID is the key of an id.
type keyCacheByID struct {
	*keyCache
	used time.Time
}

// NewKeys returns the keys of a source, none of which has been fetched yet.
// onError, if not nil, is told why keys could not be fetched: for the log. Such
// an error has nothing of the URL but host and port, and nothing of the answer
// but its status.
func NewKeys(source Source, onError func(error)) (*Keys, error) {
	if err := CheckURL(source.URL); err != nil {
		return nil, err
	}
	if onError == nil {
		onError = func(error) {}
	}
	k := &Keys{source: source, onError: onError}
	if source.ByID {
		k.byID = make(map[string]*keyCacheByID)
		k.limit = rate.NewLimiter(rate.Every(unknownEvery), unknownBurst)
	} else {
		k.set = k.newKeyCache(func(ctx context.Context) (*keySet, error) {
			b, err := download(ctx, source.URL)
			if err != nil {
				return nil, err
			}
			return parseSet(b)
		})
	}
	return k, nil
}

// The errors of a URL. They have nothing of it, since it may have a secret in
// it.
var (
	errURL      = errors.New("it is no URL: write one such as https://auth.example.com/.well-known/jwks.json")
	errUser     = errors.New("it has a user or a password in it, but public keys are public: leave out what stands before the @")
	errFragment = errors.New("it has a fragment, which is never sent: leave out what stands from the # on")
	errPlain    = errors.New("it is http, so that anybody on the way could put other keys into the answer: write https; http is for localhost and loopback addresses only")
)

// CheckURL reports why keys cannot be fetched from a URL.
func CheckURL(written string) error {
	u, err := url.Parse(written)
	if err != nil || u.Hostname() == "" {
		return errURL
	}
	switch {
	case u.User != nil:
		return errUser
	case strings.Contains(written, "#"):
		return errFragment
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errPlain
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("its scheme is %q: it must be https", u.Scheme)
	}
	return nil
}

// isLoopback reports whether a host is this machine. Names below localhost are
// not taken for it: what they resolve to is up to the resolver.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// Prefetch begins to fetch a key set, if that is due, and returns at once.
// Keys by id cannot be fetched before they are needed.
func (k *Keys) Prefetch() {
	if k.set != nil {
		k.set.prefetch()
	}
}

// verify checks the signature of a token.
func (k *Keys) verify(ctx context.Context, t token) error {
	c := k.set
	if k.source.ByID {
		var err error
		if c, err = k.cacheForID(t.kid); err != nil {
			return err
		}
	}
	set, err := c.get(ctx)
	if err != nil {
		return err
	}
	err = set.verify(t)
	if err == nil || set.has(t.kid) {
		return err
	}
	// The key may be newer than this set.
	if newer := c.newer(ctx, set); newer != nil {
		return newer.verify(t)
	}
	return err
}

// cacheForID returns the key of an id, which is being fetched if it is not known,
// unless that was asked for too often.
func (k *Keys) cacheForID(kid string) (*keyCache, error) {
	if !keyID.MatchString(kid) {
		return nil, identity.ErrAssertionKey
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.byID[kid]
	if c == nil || c.isEmpty() {
		if !k.limit.Allow() {
			if c != nil {
				return c.keyCache, nil // which knows why there is no key
			}
			return nil, identity.ErrKeysThrottled
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
	b, err := download(ctx, u.JoinPath(kid).String())
	var status statusError
	switch {
	case errors.As(err, &status) && (status == http.StatusForbidden || status == http.StatusNotFound):
		return nil, errNoKey // S3, which is behind AWS's URL, says 403
	case err != nil:
		return nil, err
	}
	return parsePEM(b, kid)
}

// evictOldest forgets ids that turned out to be unknown, and if that is not
// enough, the one that was used longest ago.
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
