package caddymodule

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// The defaults of the shared options.
const (
	defaultNegativeTTL       = 5 * time.Second
	defaultTimeout           = caddy.Duration(10 * time.Second)
	defaultAttemptTimeout    = caddy.Duration(5 * time.Second)
	defaultMaxEntries        = 100_000
	defaultMaxConcurrent     = 64
	defaultMaxWaiting        = 2000
	defaultRegistrationRate  = rate.Limit(50)
	defaultRegistrationBurst = 500
)

var defaultRetries = 1

// The shortest durations that make sense.
const (
	leastDuration = time.Millisecond
	leastWindow   = 100 * time.Millisecond // it is counted in ten steps
	leastHold     = time.Second
)

// orDefault returns v, or def if v is nothing.
func orDefault[T comparable](v, def T) T {
	var nothing T
	if v == nothing {
		return def
	}
	return v
}

// readLimits reads the limits that all handlers of an account share.
func (c *Common) readLimits(p *problems) limits {
	b := c.Breaker
	if b == nil {
		b = new(Breaker)
	}
	k := c.Cache
	if k == nil {
		k = new(Cache)
	}
	p.least("max_concurrent", c.MaxConcurrent, 1)
	p.least("max_waiting", c.MaxWaiting, 1)
	p.least("max_entries", k.MaxEntries, 1)
	p.least("requests", b.Requests, 1)
	if !(b.Ratio >= 0 && b.Ratio <= 1) {
		p.addf("ratio", "it must be above 0 and at most 1")
	}
	p.shortest("window", b.Window, leastWindow)
	p.shortest("open", b.Open, leastDuration)
	return limits{
		maxConcurrent: orDefault(c.MaxConcurrent, defaultMaxConcurrent),
		maxWaiting:    orDefault(c.MaxWaiting, defaultMaxWaiting),
		maxEntries:    orDefault(k.MaxEntries, defaultMaxEntries),
		breakerOff:    b.Disabled,
		ratio:         orDefault(b.Ratio, 0.5),
		requests:      orDefault(b.Requests, 20),
		window:        time.Duration(orDefault(b.Window, caddy.Duration(10*time.Second))),
		open:          time.Duration(orDefault(b.Open, caddy.Duration(5*time.Second))),
	}
}

// shortest notes a duration that is too short; 0 stands for the default.
func (p *problems) shortest(option string, d caddy.Duration, least time.Duration) {
	switch {
	case d < 0:
		p.addf(option, "it must be positive")
	case d > 0 && time.Duration(d) < least:
		p.addf(option, "it is %s: it must be at least %s", time.Duration(d), least)
	}
}

// least notes a number that is too small; 0 stands for the default.
func (p *problems) least(option string, n, least int) {
	if n < 0 {
		p.addf(option, "it is %d: it must be at least %d", n, least)
	}
}

// check notes values that only a JSON config can have: the Caddyfile refuses
// them where they stand.
func (c *Common) check(p *problems) {
	for _, o := range []struct {
		name, value string
		allowed     []string
	}{
		{"no_cache", c.NoCache, []string{"", "honor", "ignore"}},
		{"errors", c.Errors, []string{"", "problem", "caddy"}},
		{"cross_site", c.CrossSite, []string{"", "deny", "allow"}},
	} {
		if !slices.Contains(o.allowed, o.value) {
			p.addf(o.name, "it is '%s': it must be %s", o.value, strings.Join(o.allowed[1:], " or "))
		}
	}
	p.shortest("timeout", c.Timeout, leastDuration)
	p.shortest("attempt_timeout", c.AttemptTimeout, leastDuration)
	if c.Retries != nil {
		p.least("retries", *c.Retries, 0)
	}
	k := c.Cache
	if k == nil {
		return
	}
	if k.TTL < 0 || k.NegativeTTL != nil && *k.NegativeTTL < 0 {
		p.addf("cache", "ttl and negative_ttl must not be negative")
	}
	for _, v := range k.Vary {
		if !isPlaceholder(v) {
			p.addf("vary", "'%s' must be one placeholder, such as {http.request.header.X-Device-Id}", v)
		}
	}
}

// isPlaceholder reports whether s is one placeholder and nothing else.
func isPlaceholder(s string) bool {
	return len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' && !strings.ContainsAny(s[1:len(s)-1], "{}")
}

// newPolicy is how this handler wants its exchanges run and kept; ttl is the
// service's default.
func (c *Common) newPolicy(l limits, ttl time.Duration) exchange.Policy {
	p := exchange.Policy{
		Timeout:     time.Duration(orDefault(c.Timeout, defaultTimeout)),
		TTL:         ttl,
		NegativeTTL: defaultNegativeTTL,
		MaxWaiting:  l.maxConcurrent + l.maxWaiting,
	}
	if k := c.Cache; k != nil {
		p.TTL = orDefault(time.Duration(k.TTL), ttl)
		if k.NegativeTTL != nil {
			p.NegativeTTL = time.Duration(*k.NegativeTTL)
		}
	}
	return p
}

// texts expands each value of an option.
func (p *problems) texts(option string, values []string) []string {
	out := slices.Clone(values) // nil stays nil
	for i, v := range out {
		out[i] = p.text(option, v)
	}
	return out
}

// addAll notes problems, one a line, that name their option themselves. Those
// of an option whose placeholders could not be evaluated are left out: that is
// all there is to say of it.
func (p *problems) addAll(err error) {
	if err == nil {
		return
	}
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		if !p.isUnevaluated(problem) {
			*p = append(*p, errors.New(problem))
		}
	}
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
