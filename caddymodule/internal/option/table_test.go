package option_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// parsed holds the values of a block with each kind of option.
type parsed struct {
	text, secret, choice string
	on, off, inner       bool
	duration             caddy.Duration
	number               int
	list                 []string
}

func (p *parsed) table() option.Options {
	return option.Merge(
		option.Options{
			"text":     option.Text(&p.text),
			"secret":   option.Secret(&p.secret),
			"choice":   option.Enum(&p.choice, "one", "two"),
			"on":       option.Bool(&p.on),
			"duration": option.Duration(&p.duration, time.Second),
			"number":   option.Number(&p.number, 1),
			"list":     option.List(&p.list),
		},
		option.Options{
			"block":     option.Block(option.Options{"inner": option.Bool(&p.inner)}),
			"switch":    option.OffOrBlock(&p.off, option.Options{"inner": option.Bool(&p.inner)}),
			"client_id": option.Text(&p.text), // may be repeated
		},
	)
}

func TestBlock(t *testing.T) {
	for text, want := range map[string]string{
		"text a":                "",
		`text "a b"`:            "",
		"text":                  "option 'text': the value is empty: is the environment variable set?",
		"text a b":              "option 'text' takes one value, not 2",
		`text ""`:               "option 'text': the value is empty: is the environment variable set?",
		"text a\ntext b":        "duplicate option 'text'",
		"client_id a":           "",
		"client_id a\nnone b":   "unrecognized option 'none'",
		"text a {\ninner on\n}": "does not take a block",

		"client_id a\nclient_id b": "",

		"secret {env.A}":    "",
		"secret swordfish":  "",
		"secret":            "option 'secret': the value is empty: is the environment variable set?",
		"secret sword fish": "option 'secret' takes one value, not 2",
		`secret ""`:         "option 'secret': the value is empty: is the environment variable set?",

		"choice two":   "",
		"choice three": "option 'choice' must be one or two, not 'three'",
		"choice":       "option 'choice': the value is empty: is the environment variable set?",

		"on on":   "",
		"on off":  "",
		"on true": "option 'on' must be on or off, not 'true'",

		"duration 1m":   "",
		"duration 1d":   "",
		"duration 1s":   "",
		"duration 1ms":  "option 'duration' must be at least 1s, not 1ms",
		"duration -1s":  "must be at least 1s",
		"duration 10":   "must be a duration such as 10s",
		"duration":      "option 'duration': the value is empty: is the environment variable set?",
		"duration 1m 2": "option 'duration' takes one value, not 2",

		"number 1":   "",
		"number 0":   "option 'number' must be an integer of at least 1, not '0'",
		"number 1.5": "must be an integer",
		"number 1e3": "must be an integer",
		"number":     "option 'number': the value is empty: is the environment variable set?",

		"list a b": "",
		"list":     "option 'list': the value is empty: is the environment variable set?",

		"block {\ninner on\n}":   "",
		"block on":               "option 'block' takes a block, not 'on'",
		"block":                  "option 'block' requires a block with at least one option",
		"block {\n}":             "option 'block' requires a block with at least one option",
		"block {\nouter on\n}":   "unrecognized option 'outer'",
		"switch off":             "",
		"switch on":              "option 'switch' takes 'off' or a block",
		"switch off off":         "option 'switch' takes 'off' or a block",
		"switch {\ninner off\n}": "",
	} {
		var p parsed
		d := caddyfile.NewTestDispenser("directive {\n" + text + "\n}")
		d.Next()
		n, err := p.table().Parse(d)
		switch {
		case want == "" && (err != nil || n != 1):
			t.Errorf("%q: %d options, %v", text, n, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", text, err, want)
		case err != nil && !strings.Contains(err.Error(), "Testfile:"):
			t.Errorf("%q: without file and line: %v", text, err)
		case err != nil && strings.Contains(text, "secret") && (strings.Contains(err.Error(), "sword") || strings.Contains(err.Error(), "fish")):
			t.Errorf("%q: the error has the secret: %v", text, err)
		}
	}
}
