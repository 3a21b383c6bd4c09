package option

import (
	"errors"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Options maps the names of the options in a block to their parsers. A parser reads the
// rest of the line, and the option's block if it has one. When it is called, the
// dispenser is at the name, and has no tokens after the option.
//
// The parser with the name Unknown, if there is one, is called for each option that is
// not in the map. It returns an error that is more specific than the usual one, or nil.
type Options map[string]func(d *caddyfile.Dispenser) error

// Unknown is a key of Options, not the name of an option.
const Unknown = ""

// repeatable lists the options that may be repeated in a block.
var repeatable = []string{"client_id", "header_up", "body", "attribute", "address", "require"}

// Parse reads a block and returns the number of different options in it. It returns an
// error with file and line for each option that is unknown or not valid, or is repeated
// and not repeatable. After an error it goes on with the next option.
func (o Options) Parse(d *caddyfile.Dispenser) (int, error) {
	var errs []error
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		segment := nextOption(d)
		segment.Next()
		if err := o.parseOption(segment, seen); err != nil {
			errs = append(errs, err)
		}
	}
	return len(seen), errors.Join(errs...)
}

// parseOption reads one option, and adds its name to seen.
func (o Options) parseOption(d *caddyfile.Dispenser, seen map[string]bool) error {
	name := d.Val()
	read, ok := o[name]
	switch {
	case !ok || name == Unknown:
		return o.unknown(d)
	case seen[name] && !slices.Contains(repeatable, name):
		return d.Errf("duplicate option '%s'", name)
	}
	seen[name] = true
	if err := read(d); err != nil {
		return err
	}
	if d.Next() {
		return d.Err("the option on this line does not take a block")
	}
	return nil
}

// unknown returns the error for an option that is not in the map.
func (o Options) unknown(d *caddyfile.Dispenser) error {
	if explain := o[Unknown]; explain != nil {
		if err := explain(d); err != nil {
			return err
		}
	}
	return d.Errf("unrecognized option '%s'%s", d.Val(), suggest.DidYouMean(d.Val(), slices.Collect(maps.Keys(o))))
}

// nextOption returns a dispenser with the tokens from the current one to the end of the
// option: the end of the line, or of the block that begins there. Unlike
// NewFromNextSegment, it does not drop a block without options. The last of these tokens
// is the current one then.
func nextOption(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	tokens := d.NextSegment()
	if d.ValRaw() == "}" && d.Line() != tokens[len(tokens)-1].Line {
		d.Prev()
		tokens = append(tokens, d.Token())
		d.Next()
		tokens = append(tokens, d.Token())
	}
	return caddyfile.NewDispenser(tokens)
}

// Block returns the parser of an option that takes a block with at least one option.
func Block(table Options) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		var argErr error
		if d.NextArg() {
			argErr = d.Errf("option '%s' takes a block, not '%s'", name, d.Val())
			d.RemainingArgs()
		}
		n, err := table.Parse(d)
		err = errors.Join(argErr, err)
		if err == nil && n == 0 {
			return d.Errf("option '%s' requires a block with at least one option", name)
		}
		return err
	}
}

// WithValue returns the parser of an option with a value, which value reads, and
// optionally a block. It reads the block even if the value is not valid.
func WithValue(value func(*caddyfile.Dispenser) error, table Options) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		err := value(d)
		_, blockErr := table.Parse(d)
		return errors.Join(err, blockErr)
	}
}

// OffOrBlock returns the parser of an option that takes `off` or a block. It sets *off
// for `off`.
func OffOrBlock(off *bool, table Options) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		switch {
		case IsBare(d):
			return Empty(d, name)
		case d.CountRemainingArgs() == 0:
			return Block(table)(d)
		}
		v := ""
		if !d.AllArgs(&v) || v != "off" {
			return d.Errf("option '%s' takes 'off' or a block", name)
		}
		*off = true
		return nil
	}
}

// IsBare reports whether an option has neither values nor a block. The dispenser is at
// the option's name.
func IsBare(d *caddyfile.Dispenser) bool {
	if d.Next() {
		d.Prev()
		return false
	}
	return true
}

// Merge returns the options of all tables. If tables have the same option, the last one
// counts.
func Merge(tables ...Options) Options {
	all := make(Options)
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}
