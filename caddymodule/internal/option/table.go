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

// Options is a table of what may stand in a block: the option's name, and what
// reads the rest of its line. The dispenser stands on the name.
type Options map[string]func(d *caddyfile.Dispenser) error

// repeatable lists the options that may stand in a block more than once.
var repeatable = []string{"client_id", "header_up", "attribute", "address"}

// Parse reads a block by its table and returns how many options it held. An
// unknown option and one that repeats are errors with file and line.
func (o Options) Parse(d *caddyfile.Dispenser) (int, error) {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := o[name]
		switch {
		case name == "{":
			return 0, d.Err("the option on this line takes no block")
		case !ok:
			return 0, d.Errf("unrecognized option '%s'", name)
		case seen[name] && !slices.Contains(repeatable, name):
			return 0, d.Errf("option '%s' is given twice", name)
		}
		seen[name] = true
		if err := read(d); err != nil {
			return 0, err
		}
	}
	return len(seen), nil
}

// Block returns an option that is a block with at least one option in it.
func Block(table Options) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if d.NextArg() {
			return d.Errf("option '%s' takes a block, not '%s'", name, d.Val())
		}
		n, err := table.Parse(d)
		if err == nil && n == 0 {
			return d.Errf("option '%s' needs a block with options", name)
		}
		return err
	}
}

// OffOrBlock returns an option that is `off`, or a block.
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

// Merge returns a table with the options of all tables.
func Merge(tables ...Options) Options {
	all := make(Options)
	for _, t := range tables {
		for name, read := range t {
			all[name] = read
		}
	}
	return all
}

// Text reads one value.
func Text(target *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if !d.AllArgs(target) {
			return d.ArgErr()
		}
		if *target == "" {
			return d.Errf("option '%s' is empty", name)
		}
		return nil
	}
}

// Secret reads one value that should be a placeholder, and warns if it is not.
func Secret(target *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if !d.AllArgs(target) {
			return SecretArgErr(d, name, 1)
		}
		if *target == "" {
			return d.Errf("option '%s' is empty", name)
		}
		WarnLiteral(d, name, *target)
		return nil
	}
}

// SecretArgErr is Dispenser.ArgErr without the last value, which that quotes.
func SecretArgErr(d *caddyfile.Dispenser, name string, values int) error {
	return d.Errf("option '%s' takes %d value(s): put one with spaces in quotes", name, values)
}

// Enum reads one value of a closed set.
func Enum(target *string, allowed ...string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if !d.AllArgs(target) {
			return d.ArgErr()
		}
		if !slices.Contains(allowed, *target) {
			return d.Errf("option '%s' is '%s': it must be %s", name, *target, strings.Join(allowed, " or "))
		}
		return nil
	}
}

// Bool reads on or off.
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

// Duration reads a duration of at least least.
func Duration(target *caddy.Duration, least time.Duration) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, v := d.Val(), ""
		if !d.AllArgs(&v) {
			return d.ArgErr()
		}
		dur, err := caddy.ParseDuration(v)
		if err != nil {
			return d.Errf("option '%s' is '%s': it must be a duration such as 10s or 1m", name, v)
		}
		if dur < least {
			return d.Errf("option '%s' is %s: it must be at least %s", name, v, least)
		}
		*target = caddy.Duration(dur)
		return nil
	}
}

// Number reads an integer of at least least.
func Number(target *int, least int) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, v := d.Val(), ""
		if !d.AllArgs(&v) {
			return d.ArgErr()
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < least {
			return d.Errf("option '%s' is '%s': it must be an integer of at least %d", name, v, least)
		}
		*target = n
		return nil
	}
}

// List reads one value or more.
func List(target *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		*target = d.RemainingArgs()
		if len(*target) == 0 {
			return d.ArgErr()
		}
		return nil
	}
}

// HasPlaceholder reports whether a value is known only when the config loads,
// which checks it then.
func HasPlaceholder(value string) bool {
	return strings.Contains(value, "{env.") || strings.Contains(value, "{file.")
}

// WarnLiteral warns about a secret that will stand in the JSON config as it
// is written, also if it came from {$VAR}. Caddy gives directives no way to
// add to the adapter's list of warnings, so this one goes to the log.
func WarnLiteral(d *caddyfile.Dispenser, name, value string) {
	if HasPlaceholder(value) || value == "{sig.timestamp}" {
		return
	}
	caddy.Log().Named("caddyfile").Warn("a literal secret will stand in the JSON config: write it as {env.NAME} or {file./path}",
		zap.String("option", name), zap.String("file", d.File()), zap.Int("line", d.Line()))
}
