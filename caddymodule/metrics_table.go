package caddymodule

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// metricPrefix is what the names of all metrics begin with.
const metricPrefix = "caddy_huma_"

// The kinds of metrics.
const (
	kindCounter   = "counter"
	kindHistogram = "histogram"
	kindGauge     = "gauge"
)

// metric is one of the metrics, as Prometheus and the manual are told of it.
type metric struct {
	name   string // behind the prefix
	kind   string
	help   string
	labels []label
}

// label is a label with all values that it may ever have. No request can add
// to them. The README says what they mean.
type label struct {
	name   string
	values []string
}

// newLabel returns a label with values of any string type.
func newLabel[V ~string](name string, values ...V) label {
	l := label{name: name}
	for _, v := range values {
		l.values = append(l.values, string(v))
	}
	return l
}

// The names of services in labels, and in keys and logs.
const (
	nameHuma  = "huma"
	nameHuman = "human_api"
)

// The names of calls in labels.
const (
	callSignIn  = "signin"
	callSignUp  = "signup"
	callConsent = "consent"
	callSession = "session"
	callID      = "id"
)

// The layers of the cache.
const (
	layerMemory = "memory"
	layerRedis  = "redis"
)

// cacheResult is how an operation of a layer of the cache ended.
type cacheResult string

// The results of operations of the cache. Memory has the first two.
const (
	cacheHit        cacheResult = "hit"
	cacheMiss       cacheResult = "miss"
	cacheUnreadable cacheResult = "unreadable"
	cacheWritten    cacheResult = "written"
	cacheError      cacheResult = "error"
	cacheDown       cacheResult = "down"
)

var (
	providerLabel = newLabel("provider", nameHuma, nameHuman)
	outcomeLabel  = newLabel("outcome",
		exchange.OutcomeHit, exchange.OutcomeShared, exchange.OutcomeSignedIn, exchange.OutcomeRegistered,
		outcomeEvicted, outcomeRejected, outcomeRefused, outcomeLimited, outcomeUnavailable, outcomeTimeout,
		outcomeMisconfigured, outcomeBadResponse, outcomeCanceled)
	opLabel         = newLabel("op", callSignIn, callSignUp, callConsent, callSession, callID)
	callResultLabel = newLabel("result",
		exchange.CallOK, exchange.CallRefused, exchange.CallConfig, exchange.CallRejected, exchange.CallLimited,
		exchange.CallError, exchange.CallTimeout, exchange.CallUnreachable, exchange.CallBadResponse)
	signUpResultLabel = newLabel("result",
		exchange.SignUpCreated, exchange.SignUpExists, exchange.SignUpRefused, exchange.SignUpUnclear,
		exchange.SignUpFailed, exchange.SignUpLimited)
	layerLabel       = newLabel("layer", layerMemory, layerRedis)
	cacheResultLabel = newLabel("result", cacheHit, cacheMiss, cacheUnreadable, cacheWritten, cacheError, cacheDown)
	reasonLabel      = newLabel("reason",
		identity.ReasonMissing, identity.ReasonAmbiguous, identity.ReasonInvalid, identity.ReasonUntrusted,
		identity.ReasonEmailUnverified, identity.ReasonDomainNotAllowed, identity.ReasonUserinfoUnavailable)

	// Only Huma registers users, and what others keep in Redis nobody counts.
	registersLabel = label{providerLabel.name, providerLabel.values[:1]}
	countedLayers  = label{layerLabel.name, layerLabel.values[:1]}
)

// The metrics.
var (
	metricRequests = metric{"requests_total", kindCounter,
		"Requests, by how they ended. `OPTIONS` asks for nothing and is not one.", []label{providerLabel, outcomeLabel}}
	metricRequestSeconds = metric{"request_duration_seconds", kindHistogram,
		"How long they took until the answer was known.", []label{providerLabel, outcomeLabel}}
	metricCalls = metric{"upstream_requests_total", kindCounter,
		"Calls made at the service, each attempt of its own.", []label{providerLabel, opLabel, callResultLabel}}
	metricCallSeconds = metric{"upstream_request_duration_seconds", kindHistogram,
		"How long they took, without the wait for a free one.", []label{providerLabel, opLabel}}
	metricCache = metric{"cache_operations_total", kindCounter,
		"Operations of the cache: one look into memory for each request for a token, and reads and writes of tokens in Redis.", []label{layerLabel, cacheResultLabel}}
	metricEntries = metric{"cache_entries", kindGauge,
		"Users whose tokens are kept, those included that have run out and were not swept yet.", []label{countedLayers}}
	metricSignUps = metric{"registrations_total", kindCounter,
		"Sign-ups of unknown users, by what the service said to them.", []label{registersLabel, signUpResultLabel}}
	metricBreakers = metric{"breaker_open", kindGauge,
		"Breakers that hold calls back at the moment.", []label{providerLabel}}
	metricRejections = metric{"identity_rejections_total", kindCounter,
		"Requests that were not attributed to a user.", []label{reasonLabel}}
	metricCredentials = metric{"credentials_loaded_timestamp_seconds", kindGauge,
		"When the oldest credentials in use were loaded; not there without the directive.", []label{providerLabel}}
)

// metricTable is all metrics, in the order of the manual.
var metricTable = []metric{
	metricRequests, metricRequestSeconds, metricCalls, metricCallSeconds, metricCache, metricEntries,
	metricSignUps, metricBreakers, metricRejections, metricCredentials,
}
