// Package sealkeys reads the options with encryption keys for package seal.
package sealkeys

import (
	"encoding/base64"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
)

// Parse returns the parser of the option encryption_keys, which sets to. Its errors quote
// no key.
func Parse(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		*to = d.RemainingArgs()
		if len(*to) == 0 {
			return option.Empty(d, name)
		}
		for _, key := range *to {
			option.WarnLiteral(d, name, key)
		}
		return nil
	}
}

// Read evaluates and decodes the values of the option encryption_keys, and adds all errors
// to p. The errors contain nothing of a key.
func Read(configured []string, p *option.Errors) (keys []masked.String) {
	if len(configured) == 0 {
		p.Addf("encryption_keys", "is required: generate a key with `head -c 32 /dev/urandom | base64`, and set it as {env.NAME} or {file./path}")
	}
	for i, value := range configured {
		text := p.Secret("encryption_keys", value)
		if value == "" {
			p.Addf("encryption_keys", "key %d must not be empty", i+1)
		}
		if text.IsZero() {
			continue // its error is in p already
		}
		key, err := base64.StdEncoding.DecodeString(text.Reveal())
		switch {
		case err != nil:
			p.Addf("encryption_keys", "key %d is not valid base64", i+1)
		case len(key) != seal.KeySize:
			p.Addf("encryption_keys", "key %d must be base64 of %d bytes, not of %d bytes", i+1, seal.KeySize, len(key))
		case slices.ContainsFunc(keys, masked.New(string(key)).Equal):
			p.Addf("encryption_keys", "key %d is a duplicate", i+1)
		}
		keys = append(keys, masked.New(string(key)))
	}
	return keys
}
