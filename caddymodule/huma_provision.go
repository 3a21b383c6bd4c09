package caddymodule

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// clientTypes are the client types that Huma knows.
var clientTypes = []string{string(exchange.IOS), string(exchange.Android), string(exchange.Web)}

// What holds for tokens of Huma in the cache.
const (
	humaTTL        = 60 * time.Second
	humaMargin     = 30 * time.Second // before its end a token is not handed out any more,
	humaMarginPart = 10               // or a tenth of its life before, if that is less
)

// humaRuntime is what Provision makes of Huma's part of the config.
type humaRuntime struct {
	signUps       *userHasher // names users among the registrations of this process
	sharedSignUps *userHasher // and of all replicas
	clients       map[exchange.ClientType]string
	fallback      exchange.ClientType // of a request that names no client type
	registration  exchange.Registration
	client        *huma.Client
}

// humaSettings is what is known once that part has been read: values in place
// of placeholders, defaults in place of nothing.
type humaSettings struct {
	humaService
	signature huma.SignatureConfig
	headerUp  []huma.Header

	language, timezone string
	activationCode     masked.String
	attributes         map[string]string
}

// Provision sets up the handler. It calls nobody: it reads the files that the
// config names, and takes its state from the pools.
func (h *HumaToken) Provision(ctx caddy.Context) error {
	h.begin(ctx, humaProvider, h, &h.Common)
	var p option.Problems
	s := h.readHuma(&p)
	limits := h.read(ctx, humaTTL, &p)
	h.readRegistration(&p, &s, &limits)
	if s.signature.Secret.IsZero() {
		s.signature.Secret = masked.New("missing") // which has been noted, with what to do
	}
	signer, err := huma.NewSigner(s.signature)
	p.AddAll(err)
	transport := newTransport(h.readTLS(&p), limits.maxConcurrent, &p)
	if err := p.Err(); err != nil {
		return err
	}
	if err := h.acquire(ctx, h.accountKey(), limits, transport); err != nil {
		return err
	}
	h.client = huma.New(huma.Config{
		API:            s.api,
		ProjectID:      s.projectID,
		DeploymentID:   s.deploymentID,
		ClientIDs:      s.clientIDs,
		Signer:         signer,
		HeaderUp:       s.headerUp,
		Language:       s.language,
		Timezone:       s.timezone,
		ActivationCode: s.activationCode,
		Attributes:     s.attributes,
		HTTP:           h.upstream.transport,
		Do:             h.call,
	})
	return h.prepare(ctx, s, limits)
}

// readHuma evaluates whose service is called, and notes every problem in it.
func (h *HumaToken) readHuma(p *option.Problems) humaSettings {
	s := humaSettings{humaService: h.readService(p)}
	sig := h.Signature
	if sig == nil {
		sig = new(Signature)
	}
	s.signature = huma.SignatureConfig{
		Algorithm:  p.Text("signature", sig.Algorithm),
		Encoding:   p.Text("encoding", sig.Encoding),
		Payload:    p.Text("payload", sig.Payload),
		HeaderName: p.Text("header_name", sig.HeaderName),
		ID:         p.Text("id", sig.ID),
		Secret:     s.secret,
	}
	s.headerUp = h.readHeaderUp(p, s.signature)
	return s
}

// readRegistration evaluates what a sign-up sends, and its brake.
func (h *HumaToken) readRegistration(p *option.Problems, s *humaSettings, l *limits) {
	r := h.Registration
	if r == nil {
		r = new(Registration)
	}
	l.registrationRate, l.registrationBurst = defaultRegistrationRate, orDefault(r.Burst, defaultRegistrationBurst)
	if r.Rate != "" {
		limit, err := parseRate(p.Text("rate", r.Rate))
		if err != nil {
			p.AddAll(fmt.Errorf("rate: %w", err))
		}
		l.registrationRate = limit
	}
	if r.Burst < 0 {
		p.Addf("rate", "the burst is %d: it must be at least 1", r.Burst)
	}
	p.Shortest("hold", r.Hold, leastHold)
	s.timezone = p.Text("timezone", r.Timezone)
	s.language = p.Text("language", r.Language)
	s.activationCode = p.Secret("activation_code", r.ActivationCode)
	s.attributes = make(map[string]string, len(r.Attribute))
	for key, value := range r.Attribute {
		if key == "" {
			p.Addf("attribute", "it has no key")
		}
		s.attributes[key] = p.Text("attribute", value)
	}
	h.registration = exchange.Registration{
		Off:     r.Disabled,
		Hold:    time.Duration(orDefault(r.Hold, caddy.Duration(time.Minute))),
		Consent: r.SignConsent,
	}
}

// accountKey is the account, by what is written in the config. What rotates
// in place (a file's content) is not part of it, so state survives a rotation.
func (h *HumaToken) accountKey() []string {
	parts := []string{h.ConfigFile, h.API, h.DeploymentID, h.ProjectID, h.Secret}
	for _, kind := range append(clientTypes, allTypes) {
		parts = append(parts, h.ClientID[kind])
	}
	return parts
}

// prepare makes what requests need again and again.
func (h *HumaToken) prepare(ctx caddy.Context, s humaSettings, l limits) error {
	h.clients, h.fallback = s.clientIDs, s.fallback(exchange.ClientType(h.ClientType))
	h.policy.Margin, h.policy.MarginPart = humaMargin, humaMarginPart
	h.policy.Registers = !h.registration.Off

	account := derive(h.rootKey(s.secret), "token", h.name, s.api.String(), s.deploymentID, s.projectID, s.fingerprint())
	signUps := []string{"sign-up", h.name, sameService(s.api), s.deploymentID, s.projectID}
	service := derive(nil, signUps...) // the store keys it
	h.users = newUserHasher(account)
	h.signUps, h.sharedSignUps = newUserHasher(derive(processKey, signUps...)), newUserHasher(service)

	h.registration.Allow = func() bool {
		return h.account.allow(l.registrationRate, l.registrationBurst)
	}
	h.registration.ConsentFailed = func(err error) {
		h.logger.Warn("the consent could not be signed: the user has the token all the same", zap.Error(err))
	}
	return h.join(ctx, string(account), string(service))
}

// fingerprint tells credentials apart in cache keys: tokens of other ones are
// never handed out.
func (s *humaSettings) fingerprint() string {
	parts := []string{s.secret.Reveal()}
	for _, kind := range clientTypes {
		parts = append(parts, s.clientIDs[exchange.ClientType(kind)])
	}
	for _, header := range s.headerUp {
		parts = append(parts, header.Name, header.Value.Reveal())
	}
	return string(derive(nil, parts...)[:sha256.Size])
}
