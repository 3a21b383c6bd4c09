package caddymodule

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// The defaults of the shared options.
const (
	defaultNegativeTTL       = 5 * time.Second
	defaultTimeout           = caddy.Duration(10 * time.Second)
	defaultAttemptTimeout    = caddy.Duration(5 * time.Second)
	defaultMaxEntries        = 100_000
	defaultMaxConcurrent     = 64
	defaultMaxWaiting        = 2000
	defaultBreakerFailures   = 20
	defaultBreakerOpen       = caddy.Duration(5 * time.Second)
	defaultRegistrationRate  = rate.Limit(50)
	defaultRegistrationBurst = 500
)

var defaultRetries = 1

// The shortest durations that make sense.
const (
	leastDuration = time.Millisecond
	leastHold     = time.Second
)

// readLimits reads the limits that all handlers of an account share.
func readLimits(c *Common, p *option.Problems) limits {
	b := c.Breaker
	if b == nil {
		b = new(Breaker)
	}
	k := c.Cache
	if k == nil {
		k = new(Cache)
	}
	p.Least("max_concurrent", c.MaxConcurrent, 1)
	p.Least("max_waiting", c.MaxWaiting, 1)
	p.Least("max_entries", k.MaxEntries, 1)
	p.Least("failures", b.Failures, 1)
	p.Shortest("open", b.Open, leastDuration)
	return limits{
		maxConcurrent: cmp.Or(c.MaxConcurrent, defaultMaxConcurrent),
		maxWaiting:    cmp.Or(c.MaxWaiting, defaultMaxWaiting),
		maxEntries:    cmp.Or(k.MaxEntries, defaultMaxEntries),
		breakerOff:    b.Disabled,
		failures:      cmp.Or(b.Failures, defaultBreakerFailures),
		open:          time.Duration(cmp.Or(b.Open, defaultBreakerOpen)),
	}
}

// checkOptions notes values that only a JSON config can have: the Caddyfile refuses
// them where they stand.
func checkOptions(c *Common, p *option.Problems) {
	for _, o := range []struct {
		name, value string
		allowed     []string
	}{
		{"no_cache", c.NoCache, []string{"", "honor", "ignore"}},
		{"errors", c.Errors, []string{"", "problem", "caddy"}},
		{"cross_site", c.CrossSite, []string{"", "deny", "allow"}},
	} {
		if !slices.Contains(o.allowed, o.value) {
			p.Addf(o.name, "it is '%s': it must be %s", o.value, strings.Join(o.allowed[1:], " or "))
		}
	}
	p.Shortest("timeout", c.Timeout, leastDuration)
	p.Shortest("attempt_timeout", c.AttemptTimeout, leastDuration)
	if c.Retries != nil {
		p.Least("retries", *c.Retries, 0)
	}
	k := c.Cache
	if k == nil {
		return
	}
	if k.TTL < 0 || k.NegativeTTL != nil && *k.NegativeTTL < 0 {
		p.Addf("cache", "ttl and negative_ttl must not be negative")
	}
	for _, v := range k.Vary {
		if !isPlaceholder(v) {
			p.Addf("vary", "'%s' must be one placeholder, such as {http.request.header.X-Device-Id}", v)
		}
	}
}

// isPlaceholder reports whether s is one placeholder and nothing else.
func isPlaceholder(s string) bool {
	return len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' && !strings.ContainsAny(s[1:len(s)-1], "{}")
}

// newPolicy is how this handler wants its exchanges run and kept; ttl is the
// service's default.
func newPolicy(c *Common, l limits, ttl time.Duration) exchange.Policy {
	p := exchange.Policy{
		Timeout:     time.Duration(cmp.Or(c.Timeout, defaultTimeout)),
		TTL:         ttl,
		NegativeTTL: defaultNegativeTTL,
		MaxWaiting:  l.maxConcurrent + l.maxWaiting,
		UserRunning: min(exchange.MaxUserRunning, max(1, l.maxConcurrent/2)),
	}
	if k := c.Cache; k != nil {
		p.TTL = cmp.Or(time.Duration(k.TTL), ttl)
		if k.NegativeTTL != nil {
			p.NegativeTTL = time.Duration(*k.NegativeTTL)
		}
	}
	return p
}

// errRate says what a rate looks like.
var errRate = errors.New("it must be a number per s, m or h, such as 50/s")

// parseRate reads <n>/<s|m|h>.
func parseRate(s string) (rate.Limit, error) {
	count, unit, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(count)
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if !ok || err != nil || n < 1 || seconds == 0 {
		return 0, errRate
	}
	return rate.Limit(float64(n) / seconds), nil
}
