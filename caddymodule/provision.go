package caddymodule

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// clientTypes are the client types that Huma knows.
var clientTypes = []string{string(exchange.IOS), string(exchange.Android), string(exchange.Web)}

// humaMargin is how long before its end a token of Huma is not handed out from
// the cache any more.
const humaMargin = 30 * time.Second

// humaRuntime is what Provision makes of the config.
type humaRuntime struct {
	logger   *zap.Logger
	releases releases

	identity *identity.Identifier
	users    *userHasher // names users in caches
	signUps  *userHasher // names users among registrations
	names    *userHasher // names users in logs
	clients  map[exchange.ClientType]string
	fallback exchange.ClientType // of a request that names no client type
	vary     []string
	policy   exchange.Policy

	account      *account
	upstream     *upstream
	registration exchange.Registration
	client       *huma.Client

	succeeded  atomic.Bool // this config has had a token from Huma
	lastServer atomic.Pointer[serverTrust]
	warnings   struct{ noAuthentication, noProxies sync.Once }
	loud       rate.Sometimes // thins out lines that every request could write
}

// settings is what is known once a config has been read: values in place of
// placeholders, defaults in place of nothing.
type settings struct {
	service   service
	signature huma.SignatureConfig
	headerUp  []huma.Header
	tls       tlsSettings
	limits    limits
	hashKey   masked.String

	language, timezone string
	activationCode     masked.String
	attributes         map[string]string
}

// Provision sets up the handler. It calls nobody: it reads the files that the
// config names, and takes its state from the pools.
func (h *HumaToken) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.loud = rate.Sometimes{First: 1, Interval: time.Second}

	var p problems
	s := h.read(&p)
	h.identity = h.newIdentifier(surroundings{
		arrives:     headerArrives(ctx),
		maxWaiting:  s.limits.maxWaiting,
		keys:        h.keysFromPool(ctx),
		notAnswered: h.logNotAnswered,
	}, &p)
	if s.signature.Secret.IsZero() {
		s.signature.Secret = masked.New("missing") // which has been noted, with what to do
	}
	signer, err := huma.NewSigner(s.signature)
	p.addAll(err)
	transport := newTransport(s.tls, s.limits.maxConcurrent, &p)
	if err := p.err(); err != nil {
		return err
	}

	s.limits.tls = string(transport.fingerprint)
	h.policy = h.newPolicy(s.limits)
	if err := h.acquire(ctx.GetMetricsRegistry(), s, transport); err != nil {
		return err
	}
	h.client = huma.New(huma.Config{
		API:            s.service.api,
		ProjectID:      s.service.projectID,
		DeploymentID:   s.service.deploymentID,
		ClientIDs:      s.service.clientIDs,
		Signer:         signer,
		HeaderUp:       s.headerUp,
		Language:       s.language,
		Timezone:       s.timezone,
		ActivationCode: s.activationCode,
		Attributes:     s.attributes,
		HTTP:           h.upstream.transport,
		Do:             h.call,
	})
	h.prepare(s)
	return nil
}

// Cleanup gives back what Provision has acquired, also if it failed halfway.
// Requests of this config may still be running, so nothing is closed here.
func (h *HumaToken) Cleanup() error {
	h.releases.run()
	return nil
}

// read evaluates the whole config and notes every problem in it.
func (h *HumaToken) read(p *problems) settings {
	s := settings{service: h.readService(p)}
	sig := h.Signature
	if sig == nil {
		sig = new(Signature)
	}
	s.signature = huma.SignatureConfig{
		Algorithm:  p.text("signature", sig.Algorithm),
		Encoding:   p.text("encoding", sig.Encoding),
		Payload:    p.text("payload", sig.Payload),
		HeaderName: p.text("header_name", sig.HeaderName),
		ID:         p.text("id", sig.ID),
		Secret:     s.service.secret,
	}
	s.headerUp = h.readHeaderUp(p, s.signature)
	s.tls = h.readTLS(p)
	s.limits = h.Common.readLimits(p)
	s.hashKey = p.secret("hash_key", h.HashKey)
	h.readRegistration(p, &s)
	h.Common.check(p)
	return s
}

// readRegistration evaluates what a sign-up sends, and its brake.
func (h *HumaToken) readRegistration(p *problems, s *settings) {
	r := h.Registration
	if r == nil {
		r = new(Registration)
	}
	s.limits.registrationRate, s.limits.registrationBurst = defaultRegistrationRate, orDefault(r.Burst, defaultRegistrationBurst)
	if r.Rate != "" {
		limit, err := parseRate(p.text("rate", r.Rate))
		p.add("rate", err)
		s.limits.registrationRate = limit
	}
	if r.Burst < 0 {
		p.addf("rate", "the burst is %d: it must be at least 1", r.Burst)
	}
	p.shortest("hold", r.Hold, leastHold)
	s.timezone = p.text("timezone", r.Timezone)
	s.language = p.text("language", r.Language)
	s.activationCode = p.secret("activation_code", r.ActivationCode)
	s.attributes = make(map[string]string, len(r.Attribute))
	for key, value := range r.Attribute {
		if key == "" {
			p.addf("attribute", "it has no key")
		}
		s.attributes[key] = p.text("attribute", value)
	}
	h.registration = exchange.Registration{
		Off:     r.Disabled,
		Hold:    time.Duration(orDefault(r.Hold, caddy.Duration(time.Minute))),
		Consent: r.SignConsent,
	}
}

// acquire takes the state of this account from the pools. config tells the
// handlers of one config from those of the next.
func (h *HumaToken) acquire(config any, s settings, transport transportSettings) error {
	accountKey := h.accountKey()
	a, err := acquire[*account](&h.releases, accounts, accountKey, newAccount)
	if err != nil {
		return err
	}
	h.account = a
	if err := a.claim(config, s.limits, h.policy.Timeout); err != nil {
		return err
	}
	h.releases.push(func() { a.unclaim(config) })

	h.upstream, err = acquire[*upstream](&h.releases, upstreams, accountKey+" "+s.limits.upstreamKey(), func() (caddy.Destructor, error) {
		return newUpstream(s.limits, transport.build())
	})
	return err
}

// accountKey names the account by what is written in the config. What rotates
// in place (a file's content) is not part of it, so state survives a rotation.
func (h *HumaToken) accountKey() string {
	parts := []string{"huma", h.ConfigFile, h.API, h.DeploymentID, h.ProjectID, h.Secret}
	for _, kind := range append(clientTypes, allTypes) {
		parts = append(parts, h.ClientID[kind])
	}
	return string(derive(nil, parts...))
}

// prepare makes what requests need again and again.
func (h *HumaToken) prepare(s settings) {
	v := s.service
	h.clients, h.fallback = v.clientIDs, v.fallback(exchange.ClientType(h.ClientType))
	h.users = newUserHasher(derive(processKey, "token", "huma", v.api.String(), v.deploymentID, v.projectID, v.fingerprint(s)))
	h.signUps = newUserHasher(derive(processKey, "sign-up", "huma", sameService(v.api), v.deploymentID, v.projectID))
	h.names = newLogNames(s.hashKey)

	h.registration.Allow = func() bool {
		return h.account.allow(s.limits.registrationRate, s.limits.registrationBurst)
	}
	h.registration.ConsentFailed = func(err error) {
		h.logger.Warn("the consent could not be signed: the user has the token all the same", zap.Error(err))
	}
	h.policy.Margin, h.policy.Registers = humaMargin, !h.registration.Off
	if cache := h.Cache; cache == nil || !cache.Disabled {
		h.policy.Cache = h.account.cache.Limit(s.limits.maxEntries)
		h.policy.Recent = h.account.recent.Limit(s.limits.maxEntries)
	}
	if h.Cache != nil {
		for _, v := range h.Cache.Vary {
			h.vary = append(h.vary, v[1:len(v)-1])
		}
	}
}

// fingerprint tells credentials apart in cache keys: tokens of other ones are
// never handed out.
func (v *service) fingerprint(s settings) string {
	parts := []string{v.secret.Reveal()}
	for _, kind := range clientTypes {
		parts = append(parts, v.clientIDs[exchange.ClientType(kind)])
	}
	for _, header := range s.headerUp {
		parts = append(parts, header.Name, header.Value.Reveal())
	}
	return string(derive(nil, parts...)[:sha256.Size])
}
