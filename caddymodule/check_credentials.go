package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// userUnknown are the codes by which a service says that it has nothing against
// the config, and does not know the user.
var userUnknown = map[string]bool{"300011": true, "UNKNOWN_CLIENT_USER_ID": true, "ID_TOKEN_GENERATION_NOT_ALLOWED": true}

// checkCredentials tells whether the service accepts them. Of client types that
// fare the same it tells once.
func checkCredentials(s *subject) []checked {
	var (
		all   []checked
		kinds = make(map[checked][]string)
	)
	for _, p := range s.probes {
		found := s.judge(p)
		if kinds[found] == nil {
			all = append(all, found)
		}
		kinds[found] = append(kinds[found], p.who.clientType)
	}
	if all == nil {
		return []checked{skipped("%s", s.without)}
	}
	for i, found := range all {
		if of := strings.Join(kinds[found], ", "); of != "" && found.Result != resultSkipped {
			all[i].Found = of + ": " + found.Found
		}
	}
	return all
}

// judge tells what came of one call.
func (s *subject) judge(p probe) checked {
	var status *exchange.StatusError
	answered := errors.As(p.performance.err, &status)
	blamed, isBlamed := p.performance.blamed()
	invented := p.who.email == inventedEmail && !s.directive.service.byID || p.who.userID == inventedUserID && s.directive.service.byID
	switch {
	case p.performance.outcome != "" && invented:
		return warning("is api the service itself?", "a token came for somebody whom there is not")
	case p.performance.outcome != "":
		return ok("a token came")
	case p.performance.rejected():
		return problemFound("correct --email or --user-id", "%s: %s", p.performance.code, p.performance.detail)
	case isBlamed:
		return problemFound(blamed.write, "%s: %s", answer(status), blamed.says)
	case answered && p.performance.code == exchange.CodeNotRegistered:
		return userRefused(status)
	case answered && p.performance.code == exchange.CodeConfig:
		return problemFound(s.writeCredentials(), "%s", answer(status))
	case answered && p.performance.code == exchange.CodeUnavailable:
		return problemFound("try again later", "%s: the service is down, or limits calls", answer(status))
	case p.performance.code == exchange.CodeRejected, p.performance.code == exchange.CodeBadResponse:
		return problemFound("api <url>: is it the right one, with the right path? caddy huma token --trace shows what is answered", "%s", p.performance.cause())
	case !arrived(p.performance.last()):
		return skipped("there is no connection")
	}
	return problemFound("try again later", "no answer: %s", cmp.Or(p.performance.cause(), "the time was over"))
}

// userRefused tells what a refusal of the user says about the credentials.
func userRefused(status *exchange.StatusError) checked {
	switch {
	case userUnknown[status.Code]:
		return ok("accepted: the service knows no such user (%s)", answer(status))
	case status.Status == http.StatusNotFound:
		return warning("is the path in the option api right?", "%s, which may be that it knows no such user, or no such path", answer(status))
	}
	return ok("accepted, as far as can be told: the service refuses the user (%s); to be sure, give one whom it knows", answer(status))
}

// answer is what a service has answered.
func answer(status *exchange.StatusError) string {
	text := fmt.Sprintf("status %d", status.Status)
	if status.Code != "" {
		text += ", code " + status.Code
	}
	return text
}

func (s *subject) writeCredentials() string {
	if s.directive.service == humaProvider {
		return writeSecret
	}
	return codeMeanings["INVALID_CLIENT_ID_OR_SECRET"].write
}
