package admin

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
)

// status is the response to GET /huma/status: the health and all accounts of the running
// config.
type status struct {
	health
	Accounts []accountStatus `json:"accounts"`
}

// health is the response to GET /huma/health, which is made for readiness probes.
type health struct {
	// Status is ok, degraded or unavailable. If it is unavailable, this process
	// should not get requests: it cannot respond with tokens, or is shutting down.
	Status healthState `json:"status"`

	// Reasons explain a Status that is not ok. It is empty if Status is ok.
	Reasons []healthReason `json:"reasons,omitempty"`
}

type healthState string

// The values of health.Status.
const (
	healthOK          healthState = "ok"
	healthDegraded    healthState = "degraded"
	healthUnavailable healthState = "unavailable"
)

type healthReason string

// The values of health.Reasons.
const (
	// Reasons for unavailable: do not send requests to this process.
	reasonStopping   healthReason = "stopping"    // the process is shutting down
	reasonNoHandlers healthReason = "no_handlers" // the running config has no token directive

	// Reasons for degraded: some users still get tokens. The other replicas are
	// probably in the same state, so a failing probe would remove all of them.
	reasonBreakerOpen     healthReason = "breaker_open"
	reasonStoreDown       healthReason = "shared_store_down"
	reasonFilesUnreadable healthReason = "credentials_unreadable"
)

// accountStatus is one account and the handlers that share its state.
type accountStatus struct {
	Service string `json:"provider"`
	endpoint.AccountNames
	Cache    cacheStatus              `json:"cache"`
	Handlers []endpoint.HandlerStatus `json:"handlers"`
}

// cacheStatus is the status of an account's memory cache in this process.
type cacheStatus struct {
	// Users is the number of users with a cached token or a cached refusal. It
	// includes expired entries that were not evicted yet.
	Users int `json:"users"`
}

// getStatus handles GET /huma/status.
func getStatus(*http.Request) (int, any, error) {
	now := time.Now()
	byAccount := make(map[*account.Account]*accountStatus)
	for e := range endpoint.Running() {
		a := byAccount[e.Account]
		if a == nil {
			a = &accountStatus{Service: e.Service.Name, AccountNames: e.AccountNames(), Cache: cacheStatus{e.Account.Cache.Len()}}
			byAccount[e.Account] = a
		}
		a.Handlers = append(a.Handlers, e.Status(now))
	}
	s := status{Accounts: []accountStatus{}} // never null
	for _, a := range byAccount {
		slices.SortFunc(a.Handlers, func(x, y endpoint.HandlerStatus) int { return cmp.Compare(x.Handler, y.Handler) })
		s.Accounts = append(s.Accounts, *a)
	}
	slices.SortFunc(s.Accounts, func(x, y accountStatus) int {
		return cmp.Or(
			cmp.Compare(x.Service, y.Service), cmp.Compare(x.ConfigFile, y.ConfigFile), cmp.Compare(x.API, y.API),
			cmp.Compare(x.ProjectID, y.ProjectID), cmp.Compare(x.DeploymentID, y.DeploymentID), cmp.Compare(x.ClientID, y.ClientID),
		)
	})
	s.health = healthOf(s.Accounts)
	return http.StatusOK, s, nil
}

// getHealth handles GET and HEAD /huma/health. The status is 503 if the process is
// unavailable, and 200 otherwise, also if it is degraded.
func getHealth(r *http.Request) (int, any, error) {
	_, s, err := getStatus(r)
	if err != nil {
		return 0, nil, err
	}
	h := s.(status).health
	if h.Status == healthUnavailable {
		return http.StatusServiceUnavailable, h, nil
	}
	return http.StatusOK, h, nil
}

// healthOf returns the health of a process with the given accounts. Each reason is listed
// once, even if it applies to several handlers; the reasons for unavailable come first.
func healthOf(accounts []accountStatus) health {
	var fatal, other []healthReason
	if caddy.Exiting() {
		fatal = append(fatal, reasonStopping)
	}
	if len(accounts) == 0 {
		fatal = append(fatal, reasonNoHandlers)
	}
	for _, a := range accounts {
		for _, h := range a.Handlers {
			for reason, is := range map[healthReason]bool{
				reasonBreakerOpen:     h.Breaker == "open",
				reasonStoreDown:       h.SharedStore == "down",
				reasonFilesUnreadable: h.Credentials.Unreadable,
			} {
				if is {
					other = append(other, reason)
				}
			}
		}
	}
	slices.Sort(other)
	other = slices.Compact(other)
	switch {
	case fatal != nil:
		return health{healthUnavailable, append(fatal, other...)}
	case other != nil:
		return health{healthDegraded, other}
	}
	return health{Status: healthOK}
}
