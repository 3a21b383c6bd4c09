package option

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

// Options maps the names of the options in a block to their parsers. A parser reads the
// rest of the line, and the option's block if it has one. When it is called, the
// dispenser is at the name.
type Options map[string]func(d *caddyfile.Dispenser) error

// repeatable lists the options that may be repeated in a block.
var repeatable = []string{"client_id", "header_up", "attribute", "address", "require"}

// Parse reads a block and returns the number of different options in it. It returns an
// error with file and line if an option is unknown, or is repeated and not repeatable.
func (o Options) Parse(d *caddyfile.Dispenser) (int, error) {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := o[name]
		switch {
		case name == "{":
			return 0, d.Err("the option on this line does not take a block")
		case !ok:
			return 0, d.Errf("unrecognized option '%s'", name)
		case seen[name] && !slices.Contains(repeatable, name):
			return 0, d.Errf("duplicate option '%s'", name)
		}
		seen[name] = true
		if err := read(d); err != nil {
			return 0, err
		}
	}
	return len(seen), nil
}

// Block returns the parser of an option that takes a block with at least one option.
func Block(table Options) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if d.NextArg() {
			return d.Errf("option '%s' takes a block, not '%s'", name, d.Val())
		}
		n, err := table.Parse(d)
		if err == nil && n == 0 {
			return d.Errf("option '%s' requires a block with at least one option", name)
		}
		return err
	}
}

// OffOrBlock returns the parser of an option that takes `off` or a block. It sets *off
// for `off`.
func OffOrBlock(off *bool, table Options) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if d.CountRemainingArgs() == 0 {
			return Block(table)(d)
		}
		name, v := d.Val(), ""
		if !d.AllArgs(&v) || v != "off" {
			return d.Errf("option '%s' takes 'off' or a block", name)
		}
		*off = true
		return nil
	}
}

// Merge returns the options of all tables. If tables have the same option, the last one
// counts.
func Merge(tables ...Options) Options {
	all := make(Options)
	for _, t := range tables {
		for name, read := range t {
			all[name] = read
		}
	}
	return all
}

// Text returns the parser of an option with one value, which must not be empty.
func Text(target *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if !d.AllArgs(target) {
			return d.ArgErr()
		}
		if *target == "" {
			return d.Errf("option '%s' must not be empty", name)
		}
		return nil
	}
}

// Secret is like Text, for a secret. It logs a warning if the value is not a
// placeholder, and its errors do not quote the value.
func Secret(target *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if !d.AllArgs(target) {
			return SecretArgErr(d, name, 1)
		}
		if *target == "" {
			return d.Errf("option '%s' must not be empty", name)
		}
		WarnLiteral(d, name, *target)
		return nil
	}
}

// SecretArgErr is like Dispenser.ArgErr, but does not quote the last value, because it
// may be a secret. values is the number of values that the option takes.
func SecretArgErr(d *caddyfile.Dispenser, name string, values int) error {
	return d.Errf("wrong argument count for option '%s': it takes %d value(s); put a value with spaces in quotes", name, values)
}

// Enum returns the parser of an option with one of the allowed values.
func Enum(target *string, allowed ...string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if !d.AllArgs(target) {
			return d.ArgErr()
		}
		if !slices.Contains(allowed, *target) {
			return d.Errf("option '%s' must be %s, not '%s'", name, strings.Join(allowed, " or "), *target)
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
		if !d.AllArgs(&v) {
			return d.ArgErr()
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
		if !d.AllArgs(&v) {
			return d.ArgErr()
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
		*target = d.RemainingArgs()
		if len(*target) == 0 {
			return d.ArgErr()
		}
		return nil
	}
}

// HasPlaceholder reports whether a value contains an {env.*} or {file.*} placeholder.
// Such a value is checked when the config loads, not when the Caddyfile is adapted.
func HasPlaceholder(value string) bool {
	return strings.Contains(value, "{env.") || strings.Contains(value, "{file.")
}

// WarnLiteral logs a warning if a secret is not a placeholder, because the JSON config
// will contain it in plain text. This includes secrets from {$VAR}. It writes to the
// log, because directives cannot add to the warnings of Caddy's Caddyfile adapter.
func WarnLiteral(d *caddyfile.Dispenser, name, value string) {
	if HasPlaceholder(value) || value == "{sig.timestamp}" {
		return
	}
	caddy.Log().Named("caddyfile").Warn("secret is written in plain text and will be in the JSON config; use {env.NAME} or {file./path} instead",
		zap.String("option", name), zap.String("file", d.File()), zap.Int("line", d.Line()))
}
