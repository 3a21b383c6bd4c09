package humatoken

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/apiurl"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// The defaults of the option registration.
const (
	defaultRegistrationRate  = rate.Limit(50)
	defaultRegistrationBurst = 500
)

// The cache lifetimes of Huma's tokens. A token is not served from the cache in the last
// expiryMargin before it expires, or in the last 1/expiryMarginPart of its lifetime, if
// that is shorter.
const (
	defaultTTL       = 60 * time.Second
	expiryMargin     = 30 * time.Second
	expiryMarginPart = 10
)

// settings implements endpoint.Settings. It holds the options that may change while the
// config runs, with placeholders expanded and defaults set.
type settings struct {
	h *HumaToken
	humaService
	signature huma.SignatureConfig
	signer    huma.Signer
	headerUp  []huma.Header

	signIn, signUp huma.CallOptions

	language, timezone string
	activationCode     masked.String
	attributes         map[string]string
}

// Provision sets up the handler. It reads the files that the config names and acquires
// the state of the account from the pools. It makes no calls to Huma.
func (h *HumaToken) Provision(ctx caddy.Context) error {
	h.endpoint.Init(ctx, endpoint.Huma, endpoint.Source{
		Settings: func(p *option.Errors) endpoint.Settings { return h.settings(p) },
		Names:    endpoint.AccountNames{ConfigFile: h.ConfigFile, API: h.API, ProjectID: h.ProjectID, DeploymentID: h.DeploymentID},
	}, h, &h.Common)
	var p option.Errors
	s := h.settings(&p)
	limits := h.endpoint.Load(ctx, defaultTTL, &p)
	h.readRegistration(&p, &limits)
	transport := account.NewTransport(h.readTLS(&p), limits.MaxConcurrent, &p)
	if err := p.Err(); err != nil {
		return err
	}
	if err := h.endpoint.AcquireState(ctx, h.accountKey(), limits, transport); err != nil {
		return err
	}
	h.endpoint.Policy.Margin, h.endpoint.Policy.MarginPart = expiryMargin, expiryMarginPart
	h.endpoint.Policy.Registers = !h.registration.Off
	return h.endpoint.Start(ctx, s)
}

// settings evaluates the options that may change while the config runs, and adds their
// errors to p.
func (h *HumaToken) settings(p *option.Errors) *settings {
	s := &settings{h: h, humaService: h.readService(p)}
	h.readSignature(p, s)
	s.signIn, s.signUp = h.SignIn.read(p, "sign_in"), h.SignUp.read(p, "sign_up")
	p.Join(huma.CheckCalls(s.signIn, s.signUp))
	r := h.registrationOptions()
	s.timezone = p.Text("timezone", r.Timezone)
	s.language = p.Text("language", r.Language)
	s.activationCode = p.Secret("activation_code", r.ActivationCode)
	s.attributes = make(map[string]string, len(r.Attribute))
	for key, value := range r.Attribute {
		if key == "" {
			p.Addf("attribute", "the key must not be empty")
		}
		s.attributes[key] = p.Text("attribute", value)
	}
	return s
}

// readSignature evaluates the options signature and header_up.
func (h *HumaToken) readSignature(p *option.Errors, s *settings) {
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
	if s.secret.IsZero() {
		s.signature.Secret = masked.New("missing") // readService has reported the missing secret
	}
	var err error
	s.signer, err = huma.NewSigner(s.signature)
	p.Join(err)
}

func (h *HumaToken) registrationOptions() *Registration {
	if h.Registration == nil {
		return new(Registration)
	}
	return h.Registration
}

// readRegistration evaluates the option registration, and sets the rate limit of
// sign-ups in l.
func (h *HumaToken) readRegistration(p *option.Errors, l *account.Limits) {
	r := h.registrationOptions()
	l.RegistrationRate, l.RegistrationBurst = defaultRegistrationRate, cmp.Or(r.Burst, defaultRegistrationBurst)
	if r.Rate != "" {
		limit, err := parseRate(p.Text("rate", r.Rate))
		if err != nil {
			p.Join(fmt.Errorf("rate: %w", err))
		}
		l.RegistrationRate = limit
	}
	if r.Burst < 0 {
		p.Addf("rate", "the burst must be at least 1, not %d", r.Burst)
	}
	p.MinDuration("hold", r.Hold, minHold)
	limit, burst := l.RegistrationRate, l.RegistrationBurst
	h.registration = login.Registration{
		Off:      r.Disabled,
		Hold:     time.Duration(cmp.Or(r.Hold, caddy.Duration(time.Minute))),
		Consent:  r.SignConsent,
		Allow:    func() bool { return h.endpoint.Account.AllowRegistration(limit, burst) },
		OnResult: metrics.SignUpCounter(endpoint.Huma.Name),
		OnConsentError: func(err error) {
			h.endpoint.Log(zapcore.WarnLevel, "cannot sign the consent; issuing the token anyway", zap.Error(err))
		},
	}
}

// accountKey returns what identifies the account: the options as written in the config.
// The content of files is not part of it, so the state survives a rotation of
// credentials in a file.
func (h *HumaToken) accountKey() []string {
	parts := []string{h.ConfigFile, h.API, h.DeploymentID, h.ProjectID, h.Secret}
	for _, clientType := range append(clienttype.All, allTypes) {
		parts = append(parts, h.ClientID[clientType])
	}
	return parts
}

// CacheKey implements endpoint.Settings.
func (s *settings) CacheKey() []byte {
	return userhash.DeriveKey(s.h.endpoint.RootKey(s.secret), "token", s.h.endpoint.Service.Name, s.api.String(), s.deploymentID, s.projectID, s.fingerprint())
}

// SignUpKey implements endpoint.Settings.
func (s *settings) SignUpKey() []byte { return userhash.DeriveKey(nil, s.signUps()...) }

// signUps returns what identifies the service in the keys of sign-ups. It does not
// contain credentials, because the users are the same with all credentials.
func (s *settings) signUps() []string {
	return []string{"sign-up", s.h.endpoint.Service.Name, apiurl.Canonical(s.api), s.deploymentID, s.projectID}
}

// fingerprint returns a hash of the credentials, for cache keys.
func (s *settings) fingerprint() string {
	parts := []string{s.secret.Reveal(), hashCall(s.signIn)}
	for _, clientType := range clienttype.All {
		parts = append(parts, s.clientIDs[login.ClientType(clientType)])
	}
	for _, header := range s.headerUp {
		parts = append(parts, header.Name, header.Value.Reveal())
	}
	return string(userhash.DeriveKey(nil, parts...)[:sha256.Size])
}

// Fingerprint implements endpoint.Settings.
func (s *settings) Fingerprint() string {
	sig := s.signature
	parts := []string{
		s.api.String(), s.deploymentID, s.projectID, s.fingerprint(),
		sig.Algorithm, sig.Encoding, sig.Payload, sig.HeaderName, sig.ID,
		s.language, s.timezone, s.activationCode.Reveal(), hashCall(s.signUp),
	}
	for _, key := range slices.Sorted(maps.Keys(s.attributes)) {
		parts = append(parts, key, s.attributes[key])
	}
	return string(userhash.DeriveKey(nil, parts...))
}

// Tokens implements endpoint.Settings.
func (s *settings) Tokens(_ *userhash.Hasher, locks exchange.SignUpLocks) endpoint.TokenSource {
	return &tokenSource{
		handler:   s.h,
		clients:   s.clientIDs,
		fallback:  s.defaultClientType(login.ClientType(s.h.ClientType)),
		signUps:   userhash.New(userhash.DeriveKey(userhash.ProcessKey, s.signUps()...)),
		lockNames: userhash.New(s.SignUpKey()),
		locks:     locks,
		client: huma.New(huma.Config{
			API:            s.api,
			ProjectID:      s.projectID,
			DeploymentID:   s.deploymentID,
			ClientIDs:      s.clientIDs,
			Signer:         s.signer,
			HeaderUp:       s.headerUp,
			Language:       s.language,
			Timezone:       s.timezone,
			ActivationCode: s.activationCode,
			Attributes:     s.attributes,
			SignInCall:     s.signIn,
			SignUpCall:     s.signUp,
			HTTP:           s.h.endpoint.Transport(),
			Do:             s.h.endpoint.Do,
		}),
	}
}

// errRate describes the format of the option rate.
var errRate = errors.New("must be a number per s, m or h, such as 50/s")

// parseRate parses a rate such as 50/s: <n>/<s|m|h>, with n at least 1.
func parseRate(s string) (rate.Limit, error) {
	count, unit, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(count)
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if !ok || err != nil || n < 1 || seconds == 0 {
		return 0, errRate
	}
	return rate.Limit(float64(n) / seconds), nil
}
