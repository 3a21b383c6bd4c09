package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// unknownUserCodes lists the error codes by which a service accepts the credentials but
// does not know the user.
var unknownUserCodes = map[string]bool{"300011": true, "UNKNOWN_CLIENT_USER_ID": true, "ID_TOKEN_GENERATION_NOT_ALLOWED": true}

// checkCredentials checks whether the service accepts the credentials. Client types with
// the same result share one report.Entry.
func checkCredentials(t *target) []report.Entry {
	var (
		all         []report.Entry
		clientTypes = make(map[report.Entry][]string)
	)
	for _, a := range t.attempts {
		r := t.diagnose(a)
		if clientTypes[r] == nil {
			all = append(all, r)
		}
		clientTypes[r] = append(clientTypes[r], a.user.ClientType)
	}
	if all == nil {
		return []report.Entry{report.NewSkipped("%s", t.skipReason)}
	}
	for i, r := range all {
		if list := strings.Join(clientTypes[r], ", "); list != "" && r.Result != report.Skipped {
			all[i].Detail = list + ": " + r.Detail
		}
	}
	return all
}

// diagnose returns the result of one attempt.
func (t *target) diagnose(a attempt) report.Entry {
	var status *exchange.StatusError
	responded := errors.As(a.result.Err, &status)
	explanation, isConfig := a.result.ConfigExplanation()
	unknown := a.user.Email == unknownEmail && !t.directive.Service.ByID || a.user.UserID == unknownUserID && t.directive.Service.ByID
	switch {
	case a.result.Outcome != "" && unknown:
		return report.NewWarning("check that the option api is the URL of the service itself", "the service issued a token for a user who does not exist")
	case a.result.Outcome != "":
		return report.NewOK("token issued")
	case a.result.Rejected():
		return report.NewProblem("correct --email or --user-id", "%s: %s", a.result.Code, a.result.Detail)
	case isConfig:
		return report.NewProblem(explanation.Fix, "%s: %s", describeStatus(status), explanation.Text)
	case responded && a.result.Code == exchange.CodeNotRegistered:
		return refusedUserResult(status)
	case responded && a.result.Code == exchange.CodeConfig:
		return report.NewProblem(t.credentialsFix(), "%s", describeStatus(status))
	case responded && a.result.Code == exchange.CodeUnavailable:
		return report.NewProblem("try again later", "%s: the service is down or limits the rate of calls", describeStatus(status))
	case a.result.Code == exchange.CodeRejected, a.result.Code == exchange.CodeBadResponse:
		return report.NewProblem(t.apiFix()+"; caddy huma token --trace shows the response", "%s", a.result.Cause())
	case !connected(a.result.Last()):
		return report.NewSkipped("no connection")
	case errors.Is(a.result.Err, context.DeadlineExceeded):
		return report.NewProblem("try again later; if the service is always slow, set a longer timeout (options timeout and attempt_timeout)", "the service accepted the connection, but did not respond in time")
	}
	return report.NewProblem("try again later", "no response: %s", cmp.Or(a.result.Cause(), "timed out"))
}

// refusedUserResult returns the result for the credentials when the service refused the
// user.
func refusedUserResult(status *exchange.StatusError) report.Entry {
	switch {
	case unknownUserCodes[status.Code]:
		return report.NewOK("accepted: the service does not know the user (%s)", describeStatus(status))
	case status.Status == http.StatusNotFound:
		return report.NewWarning("check the path of the option api", "%s: either the user or the path does not exist", describeStatus(status))
	}
	return report.NewOK("probably accepted: the service refuses the user (%s); to be sure, set --email or --user-id to an existing user", describeStatus(status))
}

// describeStatus describes a response of the service: its status and error code.
func describeStatus(status *exchange.StatusError) string {
	text := fmt.Sprintf("status %d", status.Status)
	if status.Code != "" {
		text += ", code " + status.Code
	}
	return text
}

// apiFix returns what to change if the service does not know the path of the call, or if
// its response is not one of the API.
func (t *target) apiFix() string {
	if t.directive.Service == endpoint.Huma {
		return problem.FixAPI
	}
	return problem.Explanations["INVALID_TOKEN_TYPE"].Fix
}

// credentialsFix returns what to change if the service rejects the credentials.
func (t *target) credentialsFix() string {
	if t.directive.Service == endpoint.Huma {
		return problem.FixSecret
	}
	return problem.Explanations["INVALID_CLIENT_ID_OR_SECRET"].Fix
}
