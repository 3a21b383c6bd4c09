package option

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Values returns the n values of an option, which must not be empty. The errors do not
// quote a value, because it may be a secret.
func Values(d *caddyfile.Dispenser, n int) ([]string, error) {
	name := d.Val()
	values := d.RemainingArgs()
	switch {
	case len(values) < n || slices.Contains(values, ""):
		return nil, Empty(d, name)
	case len(values) > n && n == 1:
		return nil, d.Errf("option '%s' takes one value, not %d: put a value with spaces in quotes", name, len(values))
	case len(values) > n:
		return nil, d.Errf("option '%s' takes %d values, not %d: put a value with spaces in quotes", name, n, len(values))
	}
	return values, nil
}

// Empty returns the error for an option without a value. Caddy replaces {$NAME} with the
// value of the environment variable before it splits the Caddyfile into words. If the
// variable is not set, there is no word, as if the value had not been written.
func Empty(d *caddyfile.Dispenser, name string) error {
	return d.Errf("option '%s': the value is empty: is the environment variable set?", name)
}

// Text returns the parser of an option with one value, which must not be empty.
func Text(target *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		values, err := Values(d, 1)
		if err != nil {
			return err
		}
		*target = values[0]
		return nil
	}
}

// Secret is like Text, for a secret. It logs a warning if the value is not a
// placeholder.
func Secret(target *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if err := Text(target)(d); err != nil {
			return err
		}
		WarnLiteral(d, name, *target)
		return nil
	}
}

// Enum returns the parser of an option with one of the allowed values.
func Enum(target *string, allowed ...string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if err := Text(target)(d); err != nil {
			return err
		}
		if !slices.Contains(allowed, *target) {
			return d.Errf("option '%s' must be %s, not '%s'%s", name, strings.Join(allowed, " or "), *target, suggest.DidYouMean(*target, allowed))
		}
		return nil
	}
}

// Bool returns the parser of an option with the value on or off.
func Bool(target *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var v string
		if err := Enum(&v, "on", "off")(d); err != nil {
			return err
		}
		*target = v == "on"
		return nil
	}
}

// Duration returns the parser of an option with a duration of at least minimum.
func Duration(target *caddy.Duration, minimum time.Duration) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, v := d.Val(), ""
		if err := Text(&v)(d); err != nil {
			return err
		}
		dur, err := caddy.ParseDuration(v)
		if err != nil {
			return d.Errf("option '%s' must be a duration such as 10s or 1m, not '%s'", name, v)
		}
		if dur < minimum {
			return d.Errf("option '%s' must be at least %s, not %s", name, minimum, v)
		}
		*target = caddy.Duration(dur)
		return nil
	}
}

// Number returns the parser of an option with an integer of at least minimum.
func Number(target *int, minimum int) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, v := d.Val(), ""
		if err := Text(&v)(d); err != nil {
			return err
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < minimum {
			return d.Errf("option '%s' must be an integer of at least %d, not '%s'", name, minimum, v)
		}
		*target = n
		return nil
	}
}

// List returns the parser of an option with one or more values.
func List(target *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		*target = d.RemainingArgs()
		if len(*target) == 0 {
			return Empty(d, name)
		}
		return nil
	}
}

// HasPlaceholder reports whether a value contains an {env.*} or {file.*} placeholder.
// Such a value is checked when the config loads, not when the Caddyfile is adapted.
func HasPlaceholder(value string) bool {
	return strings.Contains(value, "{env.") || strings.Contains(value, "{file.")
}
