package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// success returns a token response with the given uid and subjects of tokens.
func success(uid, auth, refresh string) []byte {
	token := func(sub string) string {
		return "h." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":%q}`, sub)) + ".s"
	}
	return fmt.Appendf(nil, `{"uid":%q,"authToken":%q,"refreshToken":%q}`, uid, token(auth), token(refresh))
}

// TestWrongTokens checks that a token of another user is detected by its parts, by the
// other tokens of the user, and by the uid at the service.
func TestWrongTokens(t *testing.T) {
	u, err := newUpstream(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	a, b := u.AddUser("a@x.example").UID, u.AddUser("b@x.example").UID
	for _, c := range []struct {
		name   string
		bodies [][]byte
		wrong  int
	}{
		{"the same twice", [][]byte{success(a, a, a), success(a, a, a)}, 0},
		{"another one later", [][]byte{success(a, a, a), success(b, b, b)}, 1},
		{"another user's", [][]byte{success(b, b, b)}, 1},
		{"another auth token", [][]byte{success(a, b, a)}, 1},
		{"another refresh token", [][]byte{success(a, a, b)}, 1},
		{"no uid", [][]byte{success("", "", "")}, 1},
		{"no token", [][]byte{[]byte(`{"uid":"1"}`)}, 1},
		{"no JSON", [][]byte{[]byte(`ok`)}, 1},
		{"empty", [][]byte{{}}, 1},
		{"a token that is not a JWT", [][]byte{[]byte(`{"uid":"1","authToken":"a.b.c","refreshToken":"a"}`)}, 1},
	} {
		r := newRecorder()
		for _, body := range c.bodies {
			r.record(outcome{request: request{user: "a@x.example"}, status: http.StatusOK, body: body})
		}
		if wrong, _, total := r.compareUIDs(u); wrong != c.wrong || total != 2 {
			t.Errorf("%s: %d wrong, want %d; %d users", c.name, wrong, c.wrong, total)
		}
	}
}

// TestSecondSignUps checks that another sign-up of a user is allowed after a definite
// rejection, and after the hold.
func TestSecondSignUps(t *testing.T) {
	const hold = 20 * time.Millisecond
	for _, c := range []struct {
		name   string
		status int
		wait   time.Duration
		want   int
	}{
		{"created", http.StatusCreated, 2 * hold, 1},
		{"rejected", http.StatusForbidden, 0, 0},
		{"exists", http.StatusBadRequest, 0, 0},
		{"too many", http.StatusTooManyRequests, 0, 0},
		{"timed out", http.StatusRequestTimeout, 0, 1},
		{"unknown", http.StatusBadGateway, 0, 1},
		{"reset", 0, 0, 1},
		{"unknown, after the hold", http.StatusBadGateway, 2 * hold, 0},
	} {
		u := &upstream{hold: hold, signUps: make(map[string]*signUp)}
		u.beginSignUp("a@x.example")(&statusWriter{status: c.status})
		time.Sleep(c.wait)
		u.beginSignUp("b@x.example")
		u.beginSignUp("a@x.example")
		if u.secondSignUps != c.want {
			t.Errorf("%s: %d, want %d", c.name, u.secondSignUps, c.want)
		}
		u.beginSignUp("a@x.example")
		if u.secondSignUps != c.want+1 {
			t.Errorf("%s, one in progress: %d, want %d", c.name, u.secondSignUps, c.want+1)
		}
	}
}

// TestExpected checks which outcomes are violations.
func TestExpected(t *testing.T) {
	// The service works, fails, and garbles responses; the last one has reloads.
	rules := [4]allowed{{}, {failures: true}, {failures: true, garbage: true}, {failures: true, lost: true}}
	for end, want := range map[string][4]bool{
		"200": {true, true, true, true}, outcomeCanceled: {true, true, true, true},
		"503 overloaded": {false, true, true, true}, "503": {false, true, true, true}, "504 upstream_timeout": {false, true, true, true},
		"502 upstream_bad_response":  {false, false, true, false},
		outcomeNoResponse + " reset": {false, false, false, true}, outcomeNoResponse + " closed": {false, false, false, true}, outcomeNoResponse + " timeout": {},
		"500": {}, "401 identity_missing": {}, "403 refused": {}, "404": {},
	} {
		for i, a := range rules {
			if got := a.expected(end); got != want[i] {
				t.Errorf("%s with %+v: %v, want %v", end, a, got, want[i])
			}
		}
	}
	got := violations(1, 2, map[string]int64{"200": 5, "500": 3}, allowed{})
	if want := []string{"tokens of another user: 1", "second sign-ups of a user: 2", "unexpected responses 500: 3"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
