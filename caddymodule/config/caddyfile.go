package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cors"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Unmarshal parses a directive from Caddyfile tokens. service are the options of the
// service; the shared options are stored in c.
func Unmarshal(d *caddyfile.Dispenser, service option.Options, c *Common) error {
	d.Next() // the directive's name
	err := checkNoArguments(d)
	_, blockErr := option.Merge(service, c.options()).Parse(d)
	return errors.Join(err, blockErr)
}

// checkNoArguments returns an error if the line of the directive has more than the name
// and a matcher. Caddy has removed the matcher from the tokens, if it is one.
func checkNoArguments(d *caddyfile.Dispenser) error {
	name, args := d.Val(), d.RemainingArgs()
	switch {
	case len(args) == 0:
		return nil
	case strings.HasPrefix(args[0], "/") || strings.HasPrefix(args[0], "@") || args[0] == "*":
		return d.Errf("%s takes one matcher, and '%s' is one too many: for several paths, define a named matcher (@name path /a /b)", name, args[0])
	}
	return d.Errf("'%s' is not a matcher: a path must begin with a slash, such as /%s; a named matcher must begin with @", args[0], args[0])
}

// options returns the parsers of the options that all token directives share.
func (c *Common) options() option.Options {
	return option.Options{
		"identity":        c.parseIdentity,
		"trust":           c.parseTrust,
		"userinfo":        c.parseUserinfo,
		"cache":           c.parseCache,
		"no_cache":        option.Enum(&c.NoCache, "honor", "ignore"),
		"timeout":         option.Duration(&c.Timeout, MinDuration),
		"attempt_timeout": option.Duration(&c.AttemptTimeout, MinDuration),
		"retries":         c.parseRetries,
		"breaker":         c.parseBreaker,
		"max_concurrent":  option.Number(&c.MaxConcurrent, 1),
		"max_waiting":     option.Number(&c.MaxWaiting, 1),
		"errors":          option.Enum(&c.Errors, "problem", "caddy"),
		"cross_site":      option.Enum(&c.CrossSite, "deny", "allow"),
		"allow_origins":   c.parseAllowOrigins,
		"trace_upstream":  option.Bool(&c.TraceUpstream),
		"hash_key":        option.Secret(&c.HashKey),
	}
}

func (c *Common) parseTrust(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0:
		return option.Empty(d, "trust")
	case args[0] == TrustProxies:
		c.Trust = &Trust{Mode: TrustProxies, Ranges: args[1:]}
		var errs []error
		for _, r := range args[1:] {
			if option.HasPlaceholder(r) {
				continue
			}
			if _, err := ParseRange(r); err != nil {
				errs = append(errs, d.Errf("option 'trust proxies': %v", err))
			}
		}
		return errors.Join(errs...)
	case args[0] == TrustForwardAuth && len(args) == 1:
		c.Trust = &Trust{Mode: TrustForwardAuth}
	case args[0] == TrustForwardAuth && len(args) == 2:
		c.Trust = &Trust{Mode: TrustForwardAuth, Upstream: args[1]}
	case args[0] == TrustForwardAuth:
		return d.Errf("option 'trust' takes one upstream after %s, not %d", TrustForwardAuth, len(args)-1)
	default:
		return d.Errf("option 'trust' must be %s or %s, not '%s'%s", TrustForwardAuth, TrustProxies, args[0], suggest.DidYouMean(args[0], []string{TrustForwardAuth, TrustProxies}))
	}
	return nil
}

func (c *Common) parseCache(d *caddyfile.Dispenser) error {
	c.Cache = new(Cache)
	k := c.Cache
	table := option.Options{
		"ttl": func(d *caddyfile.Dispenser) error {
			if k.TTL != 0 {
				return d.Err("duplicate option 'ttl': set it as the argument of 'cache' or in the block, not both")
			}
			return option.Duration(&k.TTL, MinDuration)(d)
		},
		"max_entries":  option.Number(&k.MaxEntries, 1),
		"negative_ttl": k.parseNegativeTTL,
		"vary":         option.List(&k.Vary),
		"redis":        k.parseRedis,
	}
	switch n := d.CountRemainingArgs(); {
	case option.IsBare(d):
		return option.Empty(d, "cache")
	case n == 0:
		return option.Block(table)(d)
	case n == 1:
		if d.NextArg(); d.Val() == "off" {
			k.Disabled = true
			return nil
		}
		d.Prev()
	}
	return option.WithValue(option.Duration(&k.TTL, MinDuration), table)(d)
}

// parseRedis passes the block to the store module redis. It returns an error if
// the module is not compiled in.
func (k *Cache) parseRedis(d *caddyfile.Dispenser) error {
	if _, err := caddy.GetModule(redisStore); err != nil {
		return d.Errf("option 'redis' %v", errNoRedisModule)
	}
	store, err := caddyfile.UnmarshalModule(d, redisStore)
	if err != nil {
		return err
	}
	k.StoreRaw = caddyconfig.JSONModuleObject(store, "module", "redis", nil)
	return nil
}

func (k *Cache) parseNegativeTTL(d *caddyfile.Dispenser) error {
	k.NegativeTTL = new(caddy.Duration)
	return option.Duration(k.NegativeTTL, 0)(d)
}

func (c *Common) parseRetries(d *caddyfile.Dispenser) error {
	c.Retries = new(int)
	return option.Number(c.Retries, 0)(d)
}

func (c *Common) parseBreaker(d *caddyfile.Dispenser) error {
	c.Breaker = new(Breaker)
	b := c.Breaker
	return option.OffOrBlock(&b.Disabled, option.Options{
		"failures": option.Number(&b.Failures, 1),
		"open":     option.Duration(&b.Open, MinDuration),
	})(d)
}

func (c *Common) parseAllowOrigins(d *caddyfile.Dispenser) error {
	if err := option.List(&c.AllowOrigins)(d); err != nil {
		return err
	}
	var errs []error
	for _, origin := range c.AllowOrigins {
		if option.HasPlaceholder(origin) {
			continue
		}
		if err := cors.CheckOrigin(origin); err != nil {
			errs = append(errs, d.Errf("option 'allow_origins': %v", err))
		}
	}
	return errors.Join(errs...)
}

// IsPlaceholder reports whether s is exactly one placeholder.
func IsPlaceholder(s string) bool {
	return len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' && !strings.ContainsAny(s[1:len(s)-1], "{}")
}

// ParseRange parses a CIDR range, an IP address, or private_ranges, which stands
// for caddyhttp.PrivateRangesCIDR.
func ParseRange(s string) ([]netip.Prefix, error) {
	ranges := []string{s}
	if s == "private_ranges" {
		ranges = caddyhttp.PrivateRangesCIDR()
	}
	var prefixes []netip.Prefix
	for _, r := range ranges {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(r)
		if err != nil {
			return nil, fmt.Errorf("'%s' is not a CIDR range, an IP address or private_ranges", s)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
