package metrics

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// prefix is the prefix of all metric names.
const prefix = "caddy_huma_"

// The types of metrics.
const (
	typeCounter   = "counter"
	typeHistogram = "histogram"
	typeGauge     = "gauge"
)

// metric is the definition of one metric, for Prometheus and for the table in the documentation.
type metric struct {
	name   string // without prefix
	typ    string // counter, histogram or gauge
	help   string
	labels []label
}

// label is a label with all its possible values. No request can add values, so the number
// of series is bounded. The documentation explains the values.
type label struct {
	name   string
	Values []string
}

// newLabel returns a label with the given values, which may be of any string type.
func newLabel[V ~string](name string, values ...V) label {
	l := label{name: name}
	for _, v := range values {
		l.Values = append(l.Values, string(v))
	}
	return l
}

// The names of the services in the label provider, in keys and in logs.
const (
	Huma     = "huma"
	HumanAPI = "human_api"
)

// The names of the calls in the label op.
const (
	CallSignIn  = "signin"
	CallSignUp  = "signup"
	CallConsent = "consent"
	CallSession = "session"
	CallID      = "id"
)

// The layers of the cache in the label layer.
const (
	LayerMemory = "memory"
	layerRedis  = "redis"
)

// cacheResult is the result of an operation of one layer of the cache.
type cacheResult string

// The results of cache operations. The layer memory has only hit and miss.
const (
	cacheHit        cacheResult = "hit"
	cacheMiss       cacheResult = "miss"
	cacheUnreadable cacheResult = "unreadable"
	cacheWritten    cacheResult = "written"
	cacheError      cacheResult = "error"
	cacheDown       cacheResult = "down"
)

// refreshTokenResult is the result of saving a refresh token.
type refreshTokenResult string

// The results for refresh tokens.
const (
	refreshTokenSaved   refreshTokenResult = "saved"
	refreshTokenFailed  refreshTokenResult = "error"   // the storage returned an error or timed out
	refreshTokenDropped refreshTokenResult = "dropped" // too many were waiting
)

var (
	// ServiceLabel is the label provider: the name of the service.
	ServiceLabel = newLabel("provider", Huma, HumanAPI)
	outcomeLabel = newLabel("outcome",
		exchange.OutcomeHit, exchange.OutcomeShared, exchange.OutcomeSignedIn, exchange.OutcomeRegistered,
		problem.OutcomeEvicted, problem.OutcomeRejected, problem.OutcomeRefused, problem.OutcomeLimited, problem.OutcomeUnavailable, problem.OutcomeTimeout,
		problem.OutcomeMisconfigured, problem.OutcomeBadResponse, problem.OutcomeCanceled)
	opLabel         = newLabel("op", CallSignIn, CallSignUp, CallConsent, CallSession, CallID)
	callResultLabel = newLabel("result",
		exchange.CallOK, exchange.CallRefused, exchange.CallConfig, exchange.CallRejected, exchange.CallLimited,
		exchange.CallError, exchange.CallTimeout, exchange.CallUnreachable, exchange.CallBadResponse)
	signUpResultLabel = newLabel("result",
		login.SignUpCreated, login.SignUpExists, login.SignUpRefused, login.SignUpUnclear,
		login.SignUpFailed, login.SignUpLimited)
	layerLabel        = newLabel("layer", LayerMemory, layerRedis)
	cacheResultLabel  = newLabel("result", cacheHit, cacheMiss, cacheUnreadable, cacheWritten, cacheError, cacheDown)
	refreshTokenLabel = newLabel("result", refreshTokenSaved, refreshTokenFailed, refreshTokenDropped)
	reasonLabel       = newLabel("reason",
		identity.ReasonMissing, identity.ReasonAmbiguous, identity.ReasonInvalid, identity.ReasonUntrusted,
		identity.ReasonEmailUnverified, identity.ReasonDomainNotAllowed, identity.ReasonForbidden, identity.ReasonUnavailable)

	// Metrics that do not have all values: only Huma has sign-ups, and only the
	// entries in memory are counted, not those in Redis.
	registersLabel = label{ServiceLabel.name, ServiceLabel.Values[:1]}
	countedLayers  = label{layerLabel.name, layerLabel.Values[:1]}
)

// The metrics.
var (
	metricRequests = metric{"requests_total", typeCounter,
		"Requests by outcome. `OPTIONS` requests are not counted.", []label{ServiceLabel, outcomeLabel}}
	metricRequestSeconds = metric{"request_duration_seconds", typeHistogram,
		"Duration of requests until the response is ready, in seconds.", []label{ServiceLabel, outcomeLabel}}
	metricCalls = metric{"upstream_requests_total", typeCounter,
		"Calls to the service by result. Each attempt is counted.", []label{ServiceLabel, opLabel, callResultLabel}}
	metricCallSeconds = metric{"upstream_request_duration_seconds", typeHistogram,
		"Duration of calls to the service, without the wait for a free slot, in seconds.", []label{ServiceLabel, opLabel}}
	metricCache = metric{"cache_operations_total", typeCounter,
		"Cache operations: one memory lookup per token request, and reads and writes of tokens in Redis.", []label{layerLabel, cacheResultLabel}}
	Entries = metric{"cache_entries", typeGauge,
		"Users with cached tokens, including expired ones that are not swept yet.", []label{countedLayers}}
	metricSignUps = metric{"registrations_total", typeCounter,
		"Sign-ups of unknown users by result.", []label{registersLabel, signUpResultLabel}}
	Breakers = metric{"breaker_open", typeGauge,
		"Open circuit breakers, which pause the calls to the service.", []label{ServiceLabel}}
	metricRejections = metric{"identity_rejections_total", typeCounter,
		"Requests rejected because the user was not identified, by reason.", []label{reasonLabel}}
	metricRefreshTokens = metric{"refresh_tokens_total", typeCounter,
		"Refresh tokens of Human API by what happened to them (option `refresh_tokens`).", []label{refreshTokenLabel}}
	CredentialsLoaded = metric{"credentials_loaded_timestamp_seconds", typeGauge,
		"When the oldest credentials in use were loaded (Unix time). Absent without the directive.", []label{ServiceLabel}}
)

// table lists all metrics in the order of the documentation.
var table = []metric{
	metricRequests, metricRequestSeconds, metricCalls, metricCallSeconds, metricCache, Entries,
	metricSignUps, Breakers, metricRejections, metricRefreshTokens, CredentialsLoaded,
}
