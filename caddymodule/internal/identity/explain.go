package identity

import (
	"context"
	"net/textproto"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// Finding is what one option reads on a request, for an operator who tries a
// config.
type Finding struct {
	// Option is the option's name.
	Option string
	// Source says in words where it is read.
	Source string
	// Value is what is read there, as it is used.
	Value masked.String
	// Rejection is why nothing is; nil if something is.
	Rejection *Rejection
}

// Explain reads every source of a request. What it finds does not say whether
// the user is let in: Identify does.
func (i *Identifier) Explain(ctx context.Context, r *Request) []Finding {
	var findings []Finding
	for _, o := range i.sources(presets.Sources{}) {
		s := o.target
		if s.kind == kindNone {
			continue
		}
		f := Finding{Option: o.name, Source: s.describe()}
		switch o.name {
		case "email":
			f.Value, f.Rejection = i.explainAddress(ctx, r)
		case "user_id":
			id, rejection := i.id(ctx, r)
			f.Value, f.Rejection = masked.New(id), rejection
		case "verified":
			f.Value = masked.New("no")
			if i.isVerified(ctx, r) {
				f.Value = masked.New("yes")
			}
		default:
			if f.Value, f.Rejection = i.explain(ctx, r, s); f.Rejection == nil {
				f.Value = masked.New(i.readName(ctx, r, s))
			}
		}
		findings = append(findings, f)
	}
	return findings
}

func (i *Identifier) explain(ctx context.Context, r *Request, s *source) (masked.String, *Rejection) {
	text, rejection := i.text(ctx, r, s)
	return masked.New(text), rejection
}

// explainAddress explains the option email. With ByID the user goes without
// what is no address, so that is not the address then; without it, it is what
// the user is refused for.
func (i *Identifier) explainAddress(ctx context.Context, r *Request) (masked.String, *Rejection) {
	if !i.byID {
		return i.explain(ctx, r, &i.email)
	}
	address, _, rejection := i.address(ctx, r)
	return masked.New(address), rejection
}

// Headers are the request headers that are read as an identity, by canonical
// name.
func (i *Identifier) Headers() []string {
	var headers []string
	for _, o := range i.sources(presets.Sources{}) {
		if k := o.target.kind; k == kindHeader || k == kindAssertion {
			headers = append(headers, o.target.key)
		}
	}
	return headers
}

// AnswerHeaders are the headers of the auth server's answer that are read, by
// canonical name.
func (i *Identifier) AnswerHeaders() []string {
	var headers []string
	for _, o := range i.sources(presets.Sources{}) {
		if name, ok := strings.CutPrefix(o.target.key, answerPrefix); ok && o.target.kind == kindAnswer {
			headers = append(headers, name)
		}
	}
	return headers
}

// PlaceholderMap are placeholders that are known beforehand.
type PlaceholderMap map[string]any

// Get implements Placeholders.
func (m PlaceholderMap) Get(name string) (any, bool) {
	v, ok := m[name]
	return v, ok
}

// AnswerPlaceholder is the placeholder of a header in the auth server's
// answer.
func AnswerPlaceholder(header string) string {
	return answerPrefix + textproto.CanonicalMIMEHeaderKey(header)
}

// AnsweredBy sets the placeholders that a proxy leaves behind which asked one of
// these addresses (host:port): the one that is believed if it is among them,
// which it reports, else the last.
func (i *Identifier) AnsweredBy(known PlaceholderMap, dials []string) bool {
	known["http.reverse_proxy.status_code"] = 200
	for _, dial := range dials {
		known[upstreamHostPort], known[upstreamAddress] = dial, "tcp/"+dial
		if path, ok := strings.CutPrefix(dial, "unix/"); ok {
			known[upstreamHostPort], known[upstreamAddress] = path, dial
		}
		if i.upstream == (upstream{}) {
			return true
		}
		if same, _ := i.upstream.is(known); same {
			return true
		}
	}
	return false
}

// describe says in words where a source is read.
func (s *source) describe() string {
	var b strings.Builder
	if len(s.paths) > 0 {
		for n, p := range s.paths {
			if n > 0 {
				b.WriteString(" or ")
			}
			b.WriteString(strings.Join(p, "."))
		}
		b.WriteString(" in ")
	}
	if s.signed {
		b.WriteString("the assertion of ")
	}
	switch s.kind {
	case kindHeader, kindAssertion:
		b.WriteString("the request header " + s.key)
	case kindAnswer:
		b.WriteString("the header " + strings.TrimPrefix(s.key, answerPrefix) + " of the auth server's answer")
	case kindApplication:
		b.WriteString("the application's answer")
	default:
		b.WriteString("the placeholder {" + s.key + "}")
	}
	return b.String()
}
