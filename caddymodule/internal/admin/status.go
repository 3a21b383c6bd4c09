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

// status tells how it is with all accounts of the running config. It is what
// GET /huma/status answers.
type status struct {
	health
	Accounts []accountStatus `json:"accounts"`
}

// health is what a readiness probe has to know. It is what GET /huma/health
// answers.
type health struct {
	// Status is ok, degraded, or unavailable: then nobody gets a token here.
	Status healthState `json:"status"`

	// Reasons are why it is not ok.
	Reasons []healthReason `json:"reasons,omitempty"`
}

type healthState string

// The states there are.
const (
	healthOK          healthState = "ok"
	healthDegraded    healthState = "degraded"
	healthUnavailable healthState = "unavailable"
)

type healthReason string

// The reasons there are.
const (
	// With these there is no point in sending requests here.
	reasonStopping   healthReason = "stopping"    // the process ends
	reasonNoHandlers healthReason = "no_handlers" // the running config has no token directive

	// With these tokens still come, to some. Other replicas are not better off,
	// so a probe that failed now would take all of them away.
	reasonBreakerOpen     healthReason = "breaker_open"
	reasonStoreDown       healthReason = "shared_store_down"
	reasonFilesUnreadable healthReason = "credentials_unreadable"
)

// accountStatus is one account and the handlers that share its state.
type accountStatus struct {
	Provider string `json:"provider"`
	endpoint.AccountNames
	Cache    cacheStatus              `json:"cache"`
	Handlers []endpoint.HandlerStatus `json:"handlers"`
}

// cacheStatus is what is in the memory of this process.
type cacheStatus struct {
	// Users is how many have a token or a refusal that may be repeated, those
	// included that have run out and were not swept yet.
	Users int `json:"users"`
}

// getStatus answers GET /huma/status.
func getStatus(*http.Request) (int, any, error) {
	now := time.Now()
	byAccount := make(map[*account.Account]*accountStatus)
	for e := range endpoint.Running() {
		a := byAccount[e.Account]
		if a == nil {
			a = &accountStatus{Provider: e.Service.Name, AccountNames: e.AccountNames(), Cache: cacheStatus{e.Account.Cache.Len()}}
			byAccount[e.Account] = a
		}
		a.Handlers = append(a.Handlers, e.Status(now))
	}
	s := status{Accounts: []accountStatus{}} // never null
	for _, a := range byAccount {
		slices.SortFunc(a.Handlers, func(x, y endpoint.HandlerStatus) int { return x.Credentials.Loaded.Compare(y.Credentials.Loaded) })
		s.Accounts = append(s.Accounts, *a)
	}
	slices.SortFunc(s.Accounts, func(x, y accountStatus) int {
		return cmp.Or(
			cmp.Compare(x.Provider, y.Provider), cmp.Compare(x.ConfigFile, y.ConfigFile), cmp.Compare(x.API, y.API),
			cmp.Compare(x.ProjectID, y.ProjectID), cmp.Compare(x.DeploymentID, y.DeploymentID), cmp.Compare(x.ClientID, y.ClientID),
		)
	})
	s.health = healthOf(s.Accounts)
	return http.StatusOK, s, nil
}

// getHealth answers GET /huma/health: 503 where no request should be sent.
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

// healthOf sums up.
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
