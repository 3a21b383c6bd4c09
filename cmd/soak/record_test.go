package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/faultproxy"
)

// success is an answer with the given subjects in its parts.
func success(uid, auth, refresh string) []byte {
	token := func(sub string) string {
		return "h." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":%q}`, sub)) + ".s"
	}
	return fmt.Appendf(nil, `{"uid":%q,"authToken":%q,"refreshToken":%q}`, uid, token(auth), token(refresh))
}

// TestWrongTokens: everything that makes a token somebody else's is noticed.
func TestWrongTokens(t *testing.T) {
	for name, c := range map[string]struct {
		bodies [][]byte
		wrong  int
	}{
		"the same twice":         {[][]byte{success("1", "1", "1"), success("1", "1", "1")}, 0},
		"another one later":      {[][]byte{success("1", "1", "1"), success("2", "2", "2")}, 1},
		"another auth token":     {[][]byte{success("1", "2", "1")}, 1},
		"another refresh token":  {[][]byte{success("1", "1", "2")}, 1},
		"no uid":                 {[][]byte{success("", "", "")}, 1},
		"no token":               {[][]byte{[]byte(`{"uid":"1"}`)}, 1},
		"no JSON":                {[][]byte{[]byte(`ok`)}, 1},
		"empty":                  {[][]byte{{}}, 1},
		"somebody else's uid":    {[][]byte{success("2", "2", "2")}, 0}, // known at the end alone
		"a token that is no JWT": {[][]byte{[]byte(`{"uid":"1","authToken":"a.b.c","refreshToken":"a"}`)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorder(true)
			r.start = time.Now()
			for _, body := range c.bodies {
				r.asked("a@x.example")
				r.record(answer{request: request{user: "a@x.example", due: r.start}, sent: r.start, at: r.start, status: http.StatusOK, body: body})
			}
			if r.wrong != c.wrong {
				t.Errorf("%d wrong, want %d", r.wrong, c.wrong)
			}
		})
	}
}

// TestAccounts: uids are compared with the service's at the end.
func TestAccounts(t *testing.T) {
	u, err := newUpstream(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	a, b := u.AddUser("a@x.example"), u.AddUser("b@x.example")
	r := newRecorder(true)
	r.uids = map[string]string{"a@x.example": a.UID, "b@x.example": a.UID, "c@x.example": b.UID, "d@x.example": ""}
	if got, want := r.accounts(u), (Accounts{Asked: 4, GotToken: 3, Registered: 2, WrongTokens: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestSecondSignUps: another sign-up of a user is allowed after a clear
// refusal, and after the hold.
func TestSecondSignUps(t *testing.T) {
	const held = 20 * time.Millisecond
	for name, c := range map[string]struct {
		status int
		wait   time.Duration
		again  int
	}{
		"created":                {http.StatusCreated, 2 * held, 1},
		"refused":                {http.StatusForbidden, 0, 0},
		"exists":                 {http.StatusBadRequest, 0, 0},
		"too many":               {http.StatusTooManyRequests, 0, 0},
		"timed out":              {http.StatusRequestTimeout, 0, 1},
		"unclear":                {http.StatusBadGateway, 0, 1},
		"reset":                  {0, 0, 1},
		"unclear, after a while": {http.StatusBadGateway, 2 * held, 0},
	} {
		t.Run(name, func(t *testing.T) {
			u := &upstream{hold: held, signUps: make(map[string]*signUp)}
			u.beginSignUp("a@x.example")(&statusWriter{status: c.status})
			time.Sleep(c.wait)
			u.beginSignUp("b@x.example")
			end := u.beginSignUp("a@x.example")
			if u.again != c.again {
				t.Errorf("%d, want %d", u.again, c.again)
			}
			u.beginSignUp("a@x.example")
			if u.again != c.again+1 {
				t.Errorf("one runs: %d, want %d", u.again, c.again+1)
			}
			end(&statusWriter{status: http.StatusForbidden})
		})
	}
}

// TestPhases: a request belongs to the phase in which it was due, unless it was
// under way when the fault began.
func TestPhases(t *testing.T) {
	r := newRecorder(true)
	r.start = time.Now()
	at := func(s int) time.Time { return r.start.Add(time.Duration(s) * time.Second) }
	want := func(phases ...phase) {
		t.Helper()
		for s, p := range phases {
			if got := r.phase(at(s)); got != p {
				t.Errorf("second %d: %s, want %s", s, phaseNames[got], phaseNames[p])
			}
		}
	}
	want(phaseBefore, phaseBefore)
	r.faultFrom = at(1)
	want(phaseBefore, phaseFault, phaseFault)
	r.breakerOpened = at(2)
	want(phaseBefore, phaseFault, phaseRest, phaseRest)
	r.faultEnd = at(3)
	want(phaseBefore, phaseFault, phaseRest, phaseAfter)
	r.breakerOpened, r.faultEnd, r.firstPart = time.Time{}, at(4), 2*time.Second // a fault of the store
	want(phaseBefore, phaseFault, phaseFault, phaseRest, phaseAfter)
	for ended, p := range map[int]phase{0: phaseBefore, 2: phaseFault, 5: phaseFault} {
		if got := r.phaseOf(answer{request: request{due: at(0)}, at: at(ended)}); got != p {
			t.Errorf("due before the fault, answered at second %d: %s, want %s", ended, phaseNames[got], phaseNames[p])
		}
	}
}

// TestRecovery: times count from the end of the fault.
func TestRecovery(t *testing.T) {
	r := newRecorder(true)
	r.start = time.Now().Add(-time.Hour)
	at := func(ms int) time.Time { return r.start.Add(time.Duration(ms) * time.Millisecond) }
	r.faultFrom, r.faultEnd = at(0), at(1000)
	for ms := 0; ms < 5000; ms += 100 { // tokens of known users all the time, of all from 2.3s on
		user := newUser(ms)
		if ms%200 == 0 {
			user = "known@x.example"
		}
		a := answer{request: request{user: user, due: at(ms)}, sent: at(ms), at: at(ms + 5), status: http.StatusServiceUnavailable}
		if ms%200 == 0 || ms >= 2300 {
			a.status, a.body = http.StatusOK, success(user, user, user)
		}
		r.asked(user)
		r.record(a)
	}
	if got := r.recovery(); got != (Recovery{FirstToken: 1305, Most: 1200}) {
		t.Errorf("%+v", got)
	}
	r.logLine([]byte(`{"level":"warn","msg":"breaker opened: the service is down"}`))
	if r.opened != 1 || !r.breakerOpened.IsZero() {
		t.Errorf("%d, at %s: the fault is over", r.opened, r.breakerOpened)
	}
}

// TestExpected: which ends of a request are no broken promise.
func TestExpected(t *testing.T) {
	// while the service works, fails, and garbles answers, and while the config
	// is reloaded
	rules := [4]allowed{{}, {failures: true}, {failures: true, garbage: true}, {failures: true, lost: true}}
	for end, want := range map[string][4]bool{
		"200": {true, true, true, true}, endLeft: {true, true, true, true},
		"503 overloaded": {false, true, true, true}, "503": {false, true, true, true}, "504 upstream_timeout": {false, true, true, true},
		"502 upstream_bad_response": {false, false, true, false},
		endLost + " reset":          {false, false, false, true}, endLost + " closed": {false, false, false, true}, endLost + " timeout": {},
		"500": {}, "401 identity_missing": {}, "403 refused": {}, "404": {},
	} {
		for i, a := range rules {
			if got := a.expected(end); got != want[i] {
				t.Errorf("%s with %+v: %v, want %v", end, a, got, want[i])
			}
		}
	}
}

// TestChoices: the mix is the one asked for, and the same every time.
func TestChoices(t *testing.T) {
	o := options{rate: 1, inFlight: 1, users: 10, known: 0.6, returning: 0.5, noCache: 0.2, callersLeave: 0.1, seed: 7}
	var first []request
	for range 2 {
		l := newLoad(o, newRecorder(true), "")
		var all []request
		known, again, fresh, leave := 0, 0, 0, 0
		seen := make(map[string]bool)
		for range 10000 {
			r := l.next(time.Time{})
			all = append(all, r)
			switch {
			case len(r.user) > 5 && r.user[:5] == "known":
				known++
			case seen[r.user]:
				again++
			}
			seen[r.user] = true
			if r.fresh {
				fresh++
			}
			if r.leaves > 0 {
				leave++
			}
		}
		for what, c := range map[string][2]int{"known": {known, 6000}, "again": {again, 2000}, "fresh": {fresh, 2000}, "leave": {leave, 1000}} {
			if c[0] < c[1]*9/10 || c[0] > c[1]*11/10 {
				t.Errorf("%s: %d, want about %d", what, c[0], c[1])
			}
		}
		for i, r := range first {
			if r != all[i] {
				t.Fatalf("request %d is another one", i)
			}
		}
		first = all
	}
}

// TestTraffic: what cannot be told is no number.
func TestTraffic(t *testing.T) {
	a, b := traffic{10, 5, -1}, traffic{4, 2, -1}
	if got := a.since(b); got != (traffic{6, 3, -1}) || got.calls() != 6 {
		t.Errorf("%+v", got)
	}
	a.refused, b.refused = 9, 7
	if got := a.since(b); got.calls() != 8 {
		t.Errorf("%+v", got)
	}
}

// TestFaultsCanBeSet: each fault is one that sandbox and proxy accept, and can
// be taken back.
func TestFaultsCanBeSet(t *testing.T) {
	u, err := newUpstream(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	f := newFailing(u, nil, options{seed: 1, slowBy: time.Second})
	for _, what := range faults {
		if what.ofStore {
			continue // TestFaultsOfTheStore
		}
		for range 50 {
			if err := what.begin(f); err != nil {
				t.Fatalf("%s: %v", what.name, err)
			}
		}
		if err := f.mend(); err != nil {
			t.Fatalf("after %s: %v", what.name, err)
		}
	}
	if err := u.proxy.Set(faultproxy.Fault{}); err != nil || len(u.Faults()) > 0 {
		t.Errorf("%v, %d faults left", err, len(u.Faults()))
	}
}
