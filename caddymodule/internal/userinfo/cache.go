package userinfo

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/patrickmn/go-cache"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// Limits of a Cache.
const (
	// MaxTTL is the maximum time for which a response is kept.
	MaxTTL = 5 * time.Minute

	maxEntries  = 5_000    // one per token
	maxDocument = 32 << 10 // size of a document in memory, in bytes
)

// Cache keeps the application's responses to verified tokens (the option cache), on
// go-cache. It keeps at most 5,000 responses of at most 32 KiB; what exceeds these limits
// is not kept. It holds a hash instead of each token. It is safe for concurrent use.
// Create it with NewCache.
type Cache struct {
	ttl   time.Duration
	items *cache.Cache // claims.Document by SHA-256 of the token

	mu       sync.Mutex
	sweeping bool // a sweep is scheduled
}

// NewCache returns a Cache that keeps responses for at most ttl, which must be positive
// and at most MaxTTL.
func NewCache(ttl time.Duration) *Cache {
	// Without the goroutine of go-cache, which would run until the Cache is collected as
	// garbage: put schedules a sweep while there are entries.
	return &Cache{ttl: ttl, items: cache.New(cache.NoExpiration, 0)}
}

// Get implements identity.UserinfoCache.
func (c *Cache) Get(token string) (claims.Document, bool) {
	d, ok := c.items.Get(cacheKey(token))
	if !ok {
		return claims.Document{}, false
	}
	return d.(claims.Document), true
}

// Put implements identity.UserinfoCache.
func (c *Cache) Put(token string, d claims.Document, expiry time.Time) {
	// Round strips the monotonic clock reading, because go-cache uses the wall clock.
	ttl := min(c.ttl, time.Until(expiry.Round(0)))
	if ttl <= 0 || d.Size() > maxDocument { // go-cache never expires an entry without a lifetime
		return
	}
	key := cacheKey(token)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, replaces := c.items.Get(key); !replaces && c.items.ItemCount() >= maxEntries {
		return
	}
	c.items.Set(key, d, ttl)
	if !c.sweeping {
		c.sweeping = true
		time.AfterFunc(c.ttl, c.sweep)
	}
}

// sweep deletes expired responses, and schedules the next sweep if others remain.
func (c *Cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items.DeleteExpired()
	if c.sweeping = c.items.ItemCount() > 0; c.sweeping {
		time.AfterFunc(c.ttl, c.sweep)
	}
}

func cacheKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return string(sum[:])
}

// Interface guard
var _ identity.UserinfoCache = (*Cache)(nil)
