package caddymodule

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// The defaults of the shared options.
const (
	defaultTTL               = 60 * time.Second
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

// The modes of trust.
const (
	trustForwardAuth = "forward_auth"
	trustProxies     = "proxies"
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

// newPolicy is how this handler wants its exchanges run and kept.
func (c *Common) newPolicy(l limits) exchange.Policy {
	p := exchange.Policy{
		Timeout:     time.Duration(orDefault(c.Timeout, defaultTimeout)),
		TTL:         defaultTTL,
		NegativeTTL: defaultNegativeTTL,
		MaxWaiting:  l.maxConcurrent + l.maxWaiting,
	}
	if k := c.Cache; k != nil {
		p.TTL = orDefault(time.Duration(k.TTL), defaultTTL)
		if k.NegativeTTL != nil {
			p.NegativeTTL = time.Duration(*k.NegativeTTL)
		}
	}
	return p
}

// newIdentifier reads identity and trust.
func (c *Common) newIdentifier(ctx caddy.Context, p *problems) *identity.Identifier {
	if c.Identity == nil {
		p.addf("identity", "it is missing: say who is asking, for example `identity authelia` with `trust forward_auth`")
		return nil
	}
	trust := c.readTrust(p)
	i := c.Identity
	identifier, err := identity.New(identity.Config{
		Preset:           p.text("identity", i.Preset),
		Email:            i.Email,
		UserID:           i.UserID,
		Name:             i.Name,
		FirstName:        i.FirstName,
		LastName:         i.LastName,
		Verified:         i.Verified,
		Domains:          p.texts("domains", i.Domains),
		Trust:            trust,
		HeaderLetThrough: headerLetThrough(ctx),
	})
	p.addAll(err)
	return identifier
}

func (c *Common) readTrust(p *problems) (t identity.Trust) {
	if c.Trust == nil {
		return t
	}
	switch c.Trust.Mode {
	case trustForwardAuth:
		t.Mode = identity.TrustForwardAuth
	case trustProxies:
		t.Mode = identity.TrustProxies
	default:
		p.addf("trust", "it is '%s': it must be %s or %s", c.Trust.Mode, trustForwardAuth, trustProxies)
	}
	t.Upstream = p.text("trust", c.Trust.Upstream)
	for _, r := range p.texts("trust", c.Trust.Ranges) {
		prefixes, err := parseRange(r)
		p.add("trust", err)
		t.Ranges = append(t.Ranges, prefixes...)
	}
	return t
}

// texts expands each value of an option.
func (p *problems) texts(option string, values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, p.text(option, v))
	}
	return out
}

// addAll notes problems that name their option themselves.
func (p *problems) addAll(err error) {
	if err != nil {
		*p = append(*p, err)
	}
}

// headerLetThrough reports whether a server of this config lets a header
// through whose name has an underscore or a dot. Caddy drops all others.
// Which server this handler belongs to cannot be known while it is set up.
func headerLetThrough(ctx caddy.Context) func(name string) bool {
	return func(name string) bool {
		for _, m := range ctx.Modules() {
			app, ok := m.(*caddyhttp.App)
			if !ok {
				continue
			}
			for _, srv := range app.Servers {
				if listed(srv.ExpectedUnderscoreHeaders, name) || listed(srv.ExpectedDotHeaders, name) {
					return true
				}
			}
		}
		return false
	}
}

// listed reports whether a header's name is in a list as Caddy reads it: names
// in any case, or a prefix with an asterisk behind it.
func listed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if prefix, ok := strings.CutSuffix(entry, "*"); ok {
			return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
		}
		return strings.EqualFold(entry, name)
	})
}

// parseRange reads a CIDR range, an address, or private_ranges.
func parseRange(s string) ([]netip.Prefix, error) {
	ranges := []string{s}
	if s == "private_ranges" {
		ranges = caddyhttp.PrivateRangesCIDR()
	}
	var prefixes []netip.Prefix
	for _, r := range ranges {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(r)
		if err != nil {
			return nil, fmt.Errorf("'%s' is no CIDR range, address or private_ranges", s)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
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
