package scaffold

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// Site holds the values of a site that the command prints.
type Site struct {
	Preset     string // name of a preset
	ConfigFile string // of the option config_file
	Host       string // address of the site
	AuthServer string // of the option auth_server; empty: an environment variable
	App        string // upstream of the application; empty: unknown
}

// Caddyfile returns the site block, as caddy fmt formats it. Preset must exist.
func (s *Site) Caddyfile() string {
	preset, _ := presets.Find(s.Preset)
	w := new(writer)
	w.open(s.Host)
	w.comment("check: write this log block in the global options, too, which are the first block of a Caddyfile")
	w.text(preset.LogFilter())
	w.authentication(preset)
	w.open("huma_token")
	w.line("config_file "+quote(s.ConfigFile), "the file from Huma; Caddy must be able to read it")
	s.identity(w, preset)
	w.close()
	s.application(w)
	w.close()
	return string(caddyfile.Format([]byte(w.String())))
}

// identity writes the options identity and trust.
func (s *Site) identity(w *writer, p presets.Preset) {
	w.comment("check: read the note of `caddy huma presets " + p.Name + "`")
	switch {
	case p.Provider != nil:
		w.open("identity " + p.Name)
		w.provider(p)
		w.close()
	case p.AuthPath != "":
		w.open("identity " + p.Name)
		value := s.AuthServer
		if value == "" {
			value = variable("auth_server")
		}
		w.line("auth_server "+value, "the URL of the auth server as this server reaches it, such as http://auth-server:9091")
		w.close()
	case p.Signed.Email.From != "":
		w.open("identity " + p.Name)
		w.open("verify")
		w.verify(p)
		w.close()
		w.close()
	case p.NeedsTrust():
		w.line("identity "+p.Name, "")
		w.line("trust proxies "+variable("trusted_proxies"), "the IP addresses or CIDR ranges of the proxy in front; no other client may connect from there")
	default:
		w.line("identity "+p.Name, "")
	}
}

// application writes the upstream of the application.
func (s *Site) application(w *writer) {
	if s.App == "" {
		w.comment("check: add the application, such as: reverse_proxy localhost:3000")
		return
	}
	w.line("reverse_proxy "+s.App, "huma_token protects only its own path, not the application")
}

// writer writes a Caddyfile. Indentation is left to caddyfile.Format.
type writer struct{ strings.Builder }

func (w *writer) text(text string)       { w.WriteString(text) }
func (w *writer) open(name string)       { w.text(name + " {\n") }
func (w *writer) close()                 { w.text("}\n") }
func (w *writer) comment(comment string) { w.text("# " + comment + "\n") }

// line writes a line. Unless check is empty, it writes a comment before it, which says
// what to check.
func (w *writer) line(line, check string) {
	if check != "" {
		w.comment("check: " + check)
	}
	w.text(line + "\n")
}

// authentication writes the directive that authenticates the users of a preset that reads
// the placeholders of another directive.
func (w *writer) authentication(p presets.Preset) {
	switch p.Name {
	case "basic_auth":
		w.open("basic_auth")
		w.line(variable("user_email")+" "+variable("password_hash"), "an email address, and the output of `caddy hash-password`; add a line for each user")
		w.close()
	case "caddy_jwt":
		w.comment("check: add the directive jwtauth of the plugin caddy-jwt, and order it before huma_token")
	case "caddy_security":
		w.comment("check: add the directive authorize of the plugin caddy-security, and order it before huma_token")
	case "caddy_tailscale":
		w.comment("check: add the directive tailscale_auth of the plugin caddy-tailscale, and order it before huma_token")
	}
}

// provider writes the options that the preset of an identity provider requires.
func (w *writer) provider(p presets.Preset) {
	d := p.Provider
	parameter := d.Parameters[0]
	w.line(parameter.Option+" "+variable(parameter.Option), "the "+strings.ReplaceAll(parameter.Option, "_", " ")+", such as "+parameter.Example)
	if d.Audience == "" && !d.OneApplication {
		w.line("audience "+variable("audience"), strings.NewReplacer("\"", "`").Replace(d.AudienceExample))
	}
	if p.StatesNothing() {
		w.line("verified "+variable("verified"), "`assumed`, only if nobody can sign up with an email address that is not verified: the token does not say so")
	}
}

// verify writes the options of the block verify that a preset requires.
func (w *writer) verify(p presets.Preset) {
	examples := map[string]string{
		"jwks":     "the URL of the public keys, such as " + p.JWKSExample,
		"issuer":   "the issuer of the assertion (claim iss), such as " + p.IssuerExample,
		"audience": "the audience of the assertion (claim aud), which names your application",
		"signer":   "the ARN of the load balancer",
	}
	for option := range strings.SplitSeq(p.Verify.Requires(), ", ") {
		w.line(option+" "+variable(option), examples[option])
	}
}

// variable returns the placeholder of the environment variable for the value of an
// option.
func variable(option string) string { return fmt.Sprintf("{$HUMA_%s}", strings.ToUpper(option)) }

// quote returns a value in quotes if it contains blanks or a #.
func quote(value string) string {
	if strings.ContainsAny(value, " \t#") {
		return `"` + value + `"`
	}
	return value
}
