package connect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// run runs one exchange, with or without a hint. It returns the calls that were made,
// the result, and the type that is requested first the next time.
func run(t *testing.T, first TokenType, responses ...string) (called string, end exchange.Code, next TokenType) {
	t.Helper()
	api := &script{responses: responses}
	c := &Exchange{API: api, Hints: newHints(), User: "u"}
	c.Hints.remember("u", first)
	token, outcome, err := c.Run(t.Context())
	var e *exchange.Error
	switch {
	case err == nil && (token == nil || outcome != exchange.OutcomeSignedIn):
		t.Errorf("token %v, outcome %q", token, outcome)
	case err != nil && (token != nil || outcome != "" || !errors.As(err, &e)):
		t.Errorf("token %v, outcome %q with %v", token, outcome, err)
	case err != nil:
		end = e.Code
	}
	if len(api.responses) > 0 {
		t.Errorf("responses %v are left", api.responses)
	}
	return strings.Join(api.types, " "), end, c.Hints.first("u")
}

func TestConnect(t *testing.T) {
	const (
		session, id = string(SessionToken), string(IDToken)
		both        = session + " " + id
		swapped     = id + " " + session
		window      = "403/SESSION_TOKEN_GENERATION_NOT_ALLOWED"
		noUser      = "404/UNKNOWN_CLIENT_USER_ID"
		noID        = "403/ID_TOKEN_GENERATION_NOT_ALLOWED"
		secret      = "401/INVALID_CLIENT_ID_OR_SECRET"
	)
	for _, c := range []struct {
		name      string
		hint      TokenType // the user's last token, if it is known
		responses []string
		called    string
		end       exchange.Code // empty: a token
		next      TokenType     // requested first afterwards
	}{
		{"new user", SessionToken, []string{ok200}, session, "", SessionToken},
		{"connected user", IDToken, []string{ok200}, id, "", IDToken},
		{"connected since, or hint lost", SessionToken, []string{window, ok200}, both, "", IDToken},
		{"hint wrong, never had a session", IDToken, []string{noUser, ok200}, swapped, "", SessionToken},
		{"hint wrong, id not allowed", IDToken, []string{noID, ok200}, swapped, "", SessionToken},
		{"by the status alone", SessionToken, []string{"403", ok200}, both, "", IDToken},
		{"hint wrong, by the status alone", IDToken, []string{"404", ok200}, swapped, "", SessionToken},

		{"both refused", SessionToken, []string{window, noUser}, both, exchange.CodeConnectUnavailable, SessionToken},
		{"both refused, id not allowed", SessionToken, []string{window, noID}, both, exchange.CodeConnectUnavailable, SessionToken},
		{"both refused, by the statuses", SessionToken, []string{"403", "404"}, both, exchange.CodeConnectUnavailable, SessionToken},
		{"both refused after a hint", IDToken, []string{noID, window}, swapped, exchange.CodeConnectUnavailable, SessionToken},
		{"both refused after a hint, statuses", IDToken, []string{"404", "403"}, swapped, exchange.CodeConnectUnavailable, SessionToken},

		// The second response is classified as the first one would be, and there is no
		// third call.
		{"flip, then our secret", SessionToken, []string{window, secret}, both, exchange.CodeConfig, SessionToken},
		{"flip, then an outage", SessionToken, []string{window, down}, both, exchange.CodeUnavailable, SessionToken},
		{"flip, then limited", SessionToken, []string{window, limited}, both, exchange.CodeUnavailable, SessionToken},
		{"flip, then late", SessionToken, []string{window, late}, both, exchange.CodeTimeout, SessionToken},
		{"flip, then garbage", SessionToken, []string{window, html}, both, exchange.CodeBadResponse, SessionToken},
		{"flip, then a wrong request", SessionToken, []string{window, "400"}, both, exchange.CodeRejected, SessionToken},
		{"flip back, then an outage", IDToken, []string{noUser, down}, swapped, exchange.CodeUnavailable, IDToken},
		{"flip back, then a 404", IDToken, []string{noUser, "404"}, swapped, exchange.CodeRejected, IDToken},
		{"flip, then the same response", SessionToken, []string{window, window}, both, exchange.CodeConnectUnavailable, SessionToken},
		{"flip back, the same response", IDToken, []string{noUser, noUser}, swapped, exchange.CodeConnectUnavailable, SessionToken},
		{"an outage leaves the hint", IDToken, []string{down}, id, exchange.CodeUnavailable, IDToken},
		{"our secret leaves the hint", IDToken, []string{secret}, id, exchange.CodeConfig, IDToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			called, end, next := run(t, c.hint, c.responses...)
			if called != c.called || end != c.end || next != c.next {
				t.Errorf("called %s, got %q, then %s; want %s, %q, %s", called, end, next, c.called, c.end, c.next)
			}
		})
	}
}

// flip, in place of a code, means that the other type is requested.
const flip exchange.Code = "flip"

// checkFirst checks whether the other type is requested after the given first response,
// and the code otherwise.
func checkFirst(t *testing.T, first TokenType, response string, want exchange.Code) {
	t.Helper()
	responses, called, end := []string{response}, string(first), want
	if want == flip {
		responses = append(responses, ok200)
		called += " " + string(first.other())
		end = ""
	}
	gotCalled, gotEnd, _ := run(t, first, responses...)
	if gotCalled != called || gotEnd != end {
		t.Errorf("%s first, %s: called %s, got %q; want %s, %q", first, response, gotCalled, gotEnd, called, end)
	}
}

// TestConnectCodes checks each published code with each status.
func TestConnectCodes(t *testing.T) {
	codes := map[string]struct{ session, id exchange.Code }{
		"SESSION_TOKEN_GENERATION_NOT_ALLOWED": {flip, exchange.CodeConnectUnavailable},
		"UNKNOWN_CLIENT_USER_ID":               {exchange.CodeConnectUnavailable, flip},
		"ID_TOKEN_GENERATION_NOT_ALLOWED":      {exchange.CodeConnectUnavailable, flip},
		"INVALID_CLIENT_ID":                    {exchange.CodeConfig, exchange.CodeConfig},
		"INVALID_CLIENT_ID_OR_SECRET":          {exchange.CodeConfig, exchange.CodeConfig},
		"CLIENT_TOKEN_GENERATION_NOT_ALLOWED":  {exchange.CodeConfig, exchange.CodeConfig},
		"NOT_AUTHORIZED":                       {exchange.CodeConfig, exchange.CodeConfig},
		"INVALID_TOKEN_TYPE":                   {exchange.CodeRejected, exchange.CodeRejected},
	}
	if len(codes) != len(errorCodes) {
		t.Errorf("%d codes are known, and %d tested", len(errorCodes), len(codes))
	}
	for code, want := range codes {
		for _, status := range []int{302, 400, 401, 403, 404, 409, 422, 429, 500, 503} {
			response := fmt.Sprintf("%d/%s", status, code)
			checkFirst(t, SessionToken, response, want.session)
			checkFirst(t, IDToken, response, want.id)
		}
	}
}

// TestConnectStatuses checks that without a known code the status decides.
func TestConnectStatuses(t *testing.T) {
	for status, want := range map[int]struct{ session, id exchange.Code }{
		101: {exchange.CodeBadResponse, exchange.CodeBadResponse},
		302: {exchange.CodeBadResponse, exchange.CodeBadResponse},
		400: {exchange.CodeRejected, exchange.CodeRejected},
		401: {exchange.CodeConfig, exchange.CodeConfig},
		403: {flip, flip},
		404: {exchange.CodeRejected, flip},
		405: {exchange.CodeRejected, exchange.CodeRejected},
		408: {exchange.CodeUnavailable, exchange.CodeUnavailable},
		409: {exchange.CodeRejected, exchange.CodeRejected},
		422: {exchange.CodeRejected, exchange.CodeRejected},
		429: {exchange.CodeUnavailable, exchange.CodeUnavailable},
		500: {exchange.CodeUnavailable, exchange.CodeUnavailable},
		502: {exchange.CodeUnavailable, exchange.CodeUnavailable},
		503: {exchange.CodeUnavailable, exchange.CodeUnavailable},
	} {
		// Codes of other services, Huma's among them, and texts that resemble a code.
		for _, code := range []string{"", "SOMETHING_NEW", "100001", "100010", "not_authorized", "INVALID_CLIENT"} {
			response := strings.TrimSuffix(fmt.Sprintf("%d/%s", status, code), "/")
			checkFirst(t, SessionToken, response, want.session)
			checkFirst(t, IDToken, response, want.id)
		}
	}
}

// TestConnectNeverFlips checks that the other type is not requested after an error that
// says nothing about the user.
func TestConnectNeverFlips(t *testing.T) {
	for response, want := range map[string]exchange.Code{
		late: exchange.CodeTimeout, noConn: exchange.CodeUnavailable, reset: exchange.CodeUnavailable, html: exchange.CodeBadResponse,
		open: exchange.CodeUnavailable, "401": exchange.CodeConfig, limited: exchange.CodeUnavailable, down: exchange.CodeUnavailable,
	} {
		checkFirst(t, SessionToken, response, want)
		checkFirst(t, IDToken, response, want)
	}
	for err, want := range map[error]exchange.Code{
		context.DeadlineExceeded: exchange.CodeTimeout,
		context.Canceled:         exchange.CodeUnavailable,
		errors.New("odd"):        exchange.CodeUnavailable,
	} {
		c := &Exchange{API: failing{err}, User: "u"}
		_, _, got := c.Run(t.Context())
		var e *exchange.Error
		if !errors.As(got, &e) || e.Code != want || !errors.Is(got, err) {
			t.Errorf("%v: got %v, want %s", err, got, want)
		}
	}
}

type failing struct{ err error }

func (f failing) Token(context.Context, TokenType, Person) (*exchange.Token, error) {
	return nil, f.err
}

func TestConnectErrors(t *testing.T) {
	c := &Exchange{API: failing{&exchange.StatusError{Op: exchange.OpSession, Status: 429, RetryAfter: time.Minute, RequestID: "r1"}}}
	_, _, err := c.Run(t.Context())
	var e *exchange.Error
	if !errors.As(err, &e) || e.RetryAfter != time.Minute || err.Error() != "upstream_unavailable: session token: status 429, request ID r1" {
		t.Errorf("%v, %+v", err, e)
	}

	api := &script{responses: []string{"403", "404/UNKNOWN_CLIENT_USER_ID"}}
	_, _, err = (&Exchange{API: api}).Run(t.Context())
	if want := "connect_unavailable: session token: status 403; id token: status 404, code UNKNOWN_CLIENT_USER_ID"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestTheOtherTypeHasPriority checks that the second call of an exchange has priority
// over the first calls of other exchanges.
func TestTheOtherTypeHasPriority(t *testing.T) {
	var seen []bool
	api := tokenFunc(func(ctx context.Context, tt TokenType, _ Person) (*exchange.Token, error) {
		seen = append(seen, exchange.HasPriority(ctx))
		if tt == SessionToken {
			return nil, &exchange.StatusError{Op: tt.Op(), Status: 403}
		}
		return exchange.NewToken(time.Now()).Text("token", "t").Token(), nil
	})
	if _, _, err := (&Exchange{API: api, User: "u"}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[0] || !seen[1] {
		t.Errorf("the calls have priority: %v, want no, yes", seen)
	}
}

type tokenFunc func(context.Context, TokenType, Person) (*exchange.Token, error)

func (f tokenFunc) Token(ctx context.Context, t TokenType, u Person) (*exchange.Token, error) {
	return f(ctx, t, u)
}

// TestConnectOnlyKnown checks that no user is created, whatever the service's response
// is.
func TestConnectOnlyKnown(t *testing.T) {
	for _, c := range []struct {
		name     string
		response string
		end      exchange.Code // empty: a token
	}{
		{"connected", ok200, ""},
		{"unknown", "404/UNKNOWN_CLIENT_USER_ID", exchange.CodeNotRegistered},
		{"not allowed", "403/ID_TOKEN_GENERATION_NOT_ALLOWED", exchange.CodeNotRegistered},
		{"by the status alone", "403", exchange.CodeNotRegistered},
		{"our credentials", "401/INVALID_CLIENT_ID_OR_SECRET", exchange.CodeConfig},
		{"down", "503", exchange.CodeUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := &script{responses: []string{c.response}}
			connect := &Exchange{API: api, Hints: newHints(), User: "u", OnlyKnown: true}
			connect.Hints.remember("u", SessionToken)
			_, _, err := connect.Run(t.Context())
			var e *exchange.Error
			if errors.As(err, &e); (err == nil) != (c.end == "") || e != nil && e.Code != c.end {
				t.Errorf("%v, want %q", err, c.end)
			}
			if called := strings.Join(api.types, " "); called != string(IDToken) {
				t.Errorf("called %s", called)
			}
		})
	}
}

// TestHintEnds checks that a hint expires after a while without a token.
func TestHintEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHints()
		h.remember("u", IDToken)
		time.Sleep(hintTTL - time.Second)
		if h.first("u") != IDToken || h.first("v") != SessionToken {
			t.Error("the hint is lost, or shared by all users")
		}
		h.remember("u", IDToken)
		time.Sleep(hintTTL + time.Second)
		if h.first("u") != SessionToken {
			t.Error("the hint stays for ever")
		}
	})
}
