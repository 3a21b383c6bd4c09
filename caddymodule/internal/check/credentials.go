package check

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

// userUnknown lists the error codes by which a service accepts the credentials but does
// not know the user.
var userUnknown = map[string]bool{"300011": true, "UNKNOWN_CLIENT_USER_ID": true, "ID_TOKEN_GENERATION_NOT_ALLOWED": true}

// checkCredentials checks whether the service accepts the credentials. Client types with
// the same result share one checkResult.
func checkCredentials(s *target) []checkResult {
	var (
		all   []checkResult
		kinds = make(map[checkResult][]string)
	)
	for _, p := range s.attempts {
		found := s.diagnose(p)
		if kinds[found] == nil {
			all = append(all, found)
		}
		kinds[found] = append(kinds[found], p.who.ClientType)
	}
	if all == nil {
		return []checkResult{skippedResult("%s", s.skipReason)}
	}
	for i, found := range all {
		if of := strings.Join(kinds[found], ", "); of != "" && found.Result != resultSkipped {
			all[i].Detail = of + ": " + found.Detail
		}
	}
	return all
}

// diagnose returns the result of one attempt.
func (s *target) diagnose(p attempt) checkResult {
	var status *exchange.StatusError
	answered := errors.As(p.performance.Err, &status)
	blamed, isBlamed := p.performance.BlamesConfig()
	invented := p.who.Email == inventedEmail && !s.directive.Service.ByID || p.who.UserID == inventedUserID && s.directive.Service.ByID
	switch {
	case p.performance.Outcome != "" && invented:
		return warningResult("is api the service itself?", "a token came for somebody whom there is not")
	case p.performance.Outcome != "":
		return okResult("a token came")
	case p.performance.Rejected():
		return problemResult("correct --email or --user-id", "%s: %s", p.performance.Code, p.performance.Detail)
	case isBlamed:
		return problemResult(blamed.Fix, "%s: %s", answer(status), blamed.Text)
	case answered && p.performance.Code == exchange.CodeNotRegistered:
		return userRefused(status)
	case answered && p.performance.Code == exchange.CodeConfig:
		return problemResult(s.writeCredentials(), "%s", answer(status))
	case answered && p.performance.Code == exchange.CodeUnavailable:
		return problemResult("try again later", "%s: the service is down, or limits calls", answer(status))
	case p.performance.Code == exchange.CodeRejected, p.performance.Code == exchange.CodeBadResponse:
		return problemResult("api <url>: is it the right one, with the right path? caddy huma token --trace shows what is answered", "%s", p.performance.Cause())
	case !connected(p.performance.Last()):
		return skippedResult("there is no connection")
	}
	return problemResult("try again later", "no answer: %s", cmp.Or(p.performance.Cause(), "the time was over"))
}

// userRefused returns the result for the credentials when the service refused the user.
func userRefused(status *exchange.StatusError) checkResult {
	switch {
	case userUnknown[status.Code]:
		return okResult("accepted: the service knows no such user (%s)", answer(status))
	case status.Status == http.StatusNotFound:
		return warningResult("is the path in the option api right?", "%s, which may be that it knows no such user, or no such path", answer(status))
	}
	return okResult("accepted, as far as can be told: the service refuses the user (%s); to be sure, give one whom it knows", answer(status))
}

// answer describes a response of the service: its status and error code.
func answer(status *exchange.StatusError) string {
	text := fmt.Sprintf("status %d", status.Status)
	if status.Code != "" {
		text += ", code " + status.Code
	}
	return text
}

func (s *target) writeCredentials() string {
	if s.directive.Service == endpoint.Huma {
		return problem.FixSecret
	}
	return problem.Explanations["INVALID_CLIENT_ID_OR_SECRET"].Fix
}
