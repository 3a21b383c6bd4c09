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
// to them.
type label struct {
	name   string
	values []labelValue
}

type labelValue struct{ value, meaning string }

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
	providerLabel = label{"provider", []labelValue{
		{nameHuma, "`huma_token`"},
		{nameHuman, "`human_api_token`"},
	}}
	outcomeLabel = label{"outcome", []labelValue{
		{string(exchange.OutcomeHit), "200 with a token that was kept"},
		{string(exchange.OutcomeShared), "200 with the token of somebody else's exchange"},
		{string(exchange.OutcomeSignedIn), "200 with a new token"},
		{string(exchange.OutcomeRegistered), "200 with a new token, after a sign-up"},
		{string(outcomeEvicted), "204, the user was forgotten (`DELETE`)"},
		{string(outcomeRejected), "400, 401, 403 or 405: nobody is asking, or wrongly"},
		{string(outcomeRefused), "403 or 409: the service refuses the user, or registration is off"},
		{string(outcomeLimited), "503: the brake on sign-ups, or too many waiting"},
		{string(outcomeUnavailable), "503: the service, or the application that `userinfo` asks (or 500: a mistake of ours)"},
		{string(outcomeTimeout), "504: the service was too slow"},
		{string(outcomeMisconfigured), "502: the service refuses our credentials or our request"},
		{string(outcomeBadResponse), "502: the service's answer is unusable"},
		{string(outcomeCanceled), "the caller left before there was an answer"},
	}}
	opLabel = label{"op", []labelValue{
		{callSignIn, "Huma: sign in"},
		{callSignUp, "Huma: sign up"},
		{callConsent, "Huma: sign the consent"},
		{callSession, "Human API: session token"},
		{callID, "Human API: id token"},
	}}
	callResultLabel = label{"result", []labelValue{
		{string(exchange.CallOK), "success"},
		{string(exchange.CallRefused), "the service says no to this user: unknown (as everybody is before the sign-up), known already, blocked, or no token of this type"},
		{string(exchange.CallConfig), "it refuses our credentials or ids"},
		{string(exchange.CallRejected), "any other 4xx: our request is wrong"},
		{string(exchange.CallLimited), "429"},
		{string(exchange.CallError), "5xx or 408"},
		{string(exchange.CallTimeout), "no answer in time"},
		{string(exchange.CallUnreachable), "no connection, or it broke"},
		{string(exchange.CallBadResponse), "an answer that cannot be used"},
	}}
	signUpResultLabel = label{"result", []labelValue{
		{string(exchange.SignUpCreated), "Huma has created the user"},
		{string(exchange.SignUpExists), "it knew the user already"},
		{string(exchange.SignUpRefused), "it refuses the user"},
		{string(exchange.SignUpUnclear), "it gave no definite answer: only sign-in decides from then on"},
		{string(exchange.SignUpFailed), "it definitely created nobody: not reached, or our request is refused"},
		{string(exchange.SignUpLimited), "not sent: the brake, `registration { rate }`"},
	}}
	layerLabel = label{"layer", []labelValue{
		{layerMemory, "of this process"},
		{layerRedis, "of all replicas"},
	}}
	cacheResultLabel = label{"result", []labelValue{
		{string(cacheHit), "a token, or a refusal that may be repeated, was there"},
		{string(cacheMiss), "it was not"},
		{string(cacheUnreadable), "`redis`: what was there could not be opened; counts as a miss, too"},
		{string(cacheWritten), "`redis`: kept, or forgotten"},
		{string(cacheError), "`redis`: the operation failed"},
		{string(cacheDown), "`redis`: not tried, because the store is known not to be usable"},
	}}
	reasonLabel = label{"reason", []labelValue{
		{string(identity.ReasonMissing), "no value"},
		{string(identity.ReasonAmbiguous), "more than one"},
		{string(identity.ReasonInvalid), "not one plain address (or id), or an assertion that does not verify"},
		{string(identity.ReasonUntrusted), "the peer, the upstream or the certificate is not one to believe"},
		{string(identity.ReasonEmailUnverified), "nobody says that the address is the user's"},
		{string(identity.ReasonDomainNotAllowed), "`domains` does not list it"},
		{string(identity.ReasonUserinfoUnavailable), "the application that `userinfo` asks did not say"},
	}}

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
