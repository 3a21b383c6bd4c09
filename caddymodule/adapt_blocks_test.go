package caddymodule_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// blockOption describes the syntax of an option in one of blocks.
type blockOption struct {
	line string // a valid line
	list bool   // takes one or more values
	two  bool   // takes one or two values

	repeatable bool
}

// blocks lists the blocks identity, userinfo and redis with all their options, and the blocks in them.
var blocks = []struct {
	name    string
	fields  reflect.Type
	open    []string // the lines that open it
	options map[string]blockOption
	others  []string // fields that are no options of the block
}{
	{
		name:   "identity",
		fields: reflect.TypeFor[config.Identity](),
		open:   []string{"identity {"},
		options: map[string]blockOption{
			"email":         {line: "email X-User", two: true},
			"user_id":       {line: "user_id {http.auth.user.sub}", two: true},
			"name":          {line: "name X-Name", two: true},
			"first_name":    {line: "first_name X-First", two: true},
			"last_name":     {line: "last_name X-Last", two: true},
			"verified":      {line: "verified X-Verified", two: true},
			"domains":       {line: "domains x.example y.example", list: true},
			"name_encoding": {line: "name_encoding base64"},
		},
		others: []string{"preset", "auth_server", "auth_server.url", "auth_server.forward_headers", "auth_server.timeout", "auth_server.ca", "verify", "verify.jwks", "verify.issuer", "verify.audience", "verify.signer", "verify.require", "verify.require.claim", "verify.require.values", "verify.ca", "verify.domain", "verify.project", "verify.tenant", "verify.user_pool"},
	},
	{
		name:   "verify",
		fields: reflect.TypeFor[config.Verify](),
		open:   []string{"identity aws_alb {", "verify {"},
		options: map[string]blockOption{
			"jwks":      {line: "jwks https://keys.example"},
			"issuer":    {line: "issuer https://login.example"},
			"audience":  {line: "audience one two", list: true},
			"require":   {line: "require azp one two", list: true, repeatable: true},
			"signer":    {line: "signer one two", list: true},
			"ca":        {line: "ca /etc/caddy/ca.pem"},
			"domain":    {line: "domain clinic.eu.auth0.com"},
			"project":   {line: "project clinic-1"},
			"tenant":    {line: "tenant 11111111-2222-3333-4444-555555555555"},
			"user_pool": {line: "user_pool eu-central-1_AbC123"},
		},
		others: []string{"require.claim", "require.values"},
	},
	{
		name:   "identity of a provider",
		fields: reflect.TypeFor[config.Verify](),
		open:   []string{"identity auth0 {"},
		options: map[string]blockOption{
			"jwks":      {line: "jwks https://keys.example"},
			"issuer":    {line: "issuer https://login.example"},
			"audience":  {line: "audience one two", list: true},
			"require":   {line: "require azp one two", list: true, repeatable: true},
			"signer":    {line: "signer one two", list: true},
			"ca":        {line: "ca /etc/caddy/ca.pem"},
			"project":   {line: "project clinic-1"},
			"tenant":    {line: "tenant 11111111-2222-3333-4444-555555555555"},
			"user_pool": {line: "user_pool eu-central-1_AbC123"},
		},
		others: []string{"require.claim", "require.values", "domain"}, // domains is an option of the block too
	},
	{
		name:   "userinfo",
		fields: reflect.TypeFor[config.Userinfo](),
		open:   []string{"userinfo http://localhost:3000/api/me {"},
		options: map[string]blockOption{
			"forward_headers": {line: "forward_headers Cookie X-Csrf-Token", list: true},
			"email":           {line: "email user.email"},
			"user_id":         {line: "user_id user.id"},
			"name":            {line: "name user.name"},
			"first_name":      {line: "first_name user.first"},
			"last_name":       {line: "last_name user.last"},
			"verified":        {line: "verified user.verified"},
			"domains":         {line: "domains x.example", list: true},
			"timeout":         {line: "timeout 2s"},
			"ca":              {line: "ca /etc/caddy/ca.pem"},
			"cache":           {line: "cache 1m"},
		},
		others: []string{"url", "verify", "verify.token", "verify.jwks", "verify.issuer", "verify.audience", "verify.require", "verify.require.claim", "verify.require.values", "verify.ca"},
	},
	{
		name:   "verify in userinfo",
		fields: reflect.TypeFor[config.UserinfoVerify](),
		open:   []string{"userinfo http://localhost:3000/api/me {", "verify {"},
		options: map[string]blockOption{
			"token":    {line: "token {http.request.cookie.access_token}"},
			"jwks":     {line: "jwks https://keys.example"},
			"issuer":   {line: "issuer https://login.example"},
			"audience": {line: "audience one two", list: true},
			"require":  {line: "require azp one two", list: true, repeatable: true},
			"ca":       {line: "ca /etc/caddy/ca.pem"},
		},
		others: []string{"require.claim", "require.values"},
	},
	{
		name:   "redis",
		fields: reflect.TypeFor[redis.Redis](),
		open:   []string{"cache {", "redis {"},
		options: map[string]blockOption{
			"address":               {line: "address one:6379 two:6379", list: true, repeatable: true},
			"username":              {line: "username huma"},
			"password":              {line: "password {env.HUMA_PASSWORD}"},
			"db":                    {line: "db 1"},
			"key_prefix":            {line: "key_prefix clinic:"},
			"tls_enabled":           {line: "tls_enabled on"},
			"tls_server_certs_path": {line: "tls_server_certs_path /etc/redis/ca.pem"},
			"master_name":           {line: "master_name mymaster"},
			"cluster":               {line: "cluster off"},
			"timeout":               {line: "timeout 100ms"},
			"encryption_keys":       {line: "encryption_keys {env.HUMA_KEY_2} {env.HUMA_KEY_1}", list: true},
		},
	},
}

// TestL08_EveryOptionOfABlock is TestL08_EveryOption for the options in blocks.
func TestL08_EveryOptionOfABlock(t *testing.T) {
	for _, d := range bothDirectives {
		t.Run(d.name, d.checkBlocks)
	}
}

func (d *tokenDirective) checkBlocks(t *testing.T) {
	for _, b := range blocks {
		within := func(lines ...string) string {
			all := append(append([]string(nil), b.open...), lines...)
			for range b.open {
				all = append(all, "}")
			}
			return d.text(all...)
		}
		missing := structFields(b.fields)
		for _, name := range b.others {
			delete(missing, name)
		}
		first := 3 + len(b.open) // the line that the block's first option is on
		for name, o := range b.options {
			delete(missing, name)
			wrong := func(what string, line int, says string, lines ...string) {
				t.Helper()
				text := within(lines...)
				config, _, err := adaptText(text)
				if err == nil {
					t.Errorf("%s %s: %s: no error, but %s", b.name, name, what, config)
					return
				}
				for _, want := range []string{says, fmt.Sprintf(", at Caddyfile:%d", line)} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s %s: %s: the error does not say %q: %v\n%s", b.name, name, what, want, err, text)
					}
				}
			}
			right := func(what string, lines ...string) {
				t.Helper()
				if _, _, err := adaptText(within(lines...)); err != nil {
					t.Errorf("%s %s: %s: %v", b.name, name, what, err)
				}
			}
			right("good", o.line)
			wrong("a misspelt name", first, "unrecognized option '"+name+"s'", name+"s x")
			wrong("in capitals", first, "unrecognized option '"+strings.ToUpper(name)+"'", strings.ToUpper(name)+" x")
			wrong("missing value", first, "'"+name+"'", name)
			if o.repeatable {
				right("twice", o.line, o.line)
			} else {
				wrong("twice", first+1, "duplicate option '"+name+"'", o.line, o.line)
			}
			wrong("a block", first, "does not take a block", o.line+" {", "x", "}")
			if !o.list {
				wrong("empty", first, "option '"+name+"': the value is empty", name+` ""`)
			}
			switch {
			case o.two:
				right("a path", o.line+" a.path")
				right("several paths", o.line+" a.path b c.0")
				right("a path in quotes", o.line+` "a path"`)
				right("a path with a dot in a name", o.line+` https://clinic\.example/email`)
				wrong("an empty path", first, "option '"+name+"'", o.line+` ""`)
			case !o.list:
				wrong("a value too many", first, "", o.line+" two")
				wrong("values too many", first, "", o.line+" two many")
			}
		}
		for name := range missing {
			t.Errorf("option %s of %s is not in the table of this test", name, b.name)
		}
	}
}
