package caddymodule_test

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestKeysAreFetchedOnce checks that only a running config fetches keys, once for all
// handlers and requests, and that a reload does not fetch them again.
func TestKeysAreFetchedOnce(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	keys := newKeyServer(t)
	iap, alb := signedPresetOf("google_iap"), signedPresetOf("aws_alb")
	keys.setKeysOf(iap, alb)
	text := "SITE {\n" + iap.directive(keys, "") + alb.directive(keys, "")
	text += strings.Replace(iap.directive(keys, "errors caddy"), "/google_iap {", "/again {", 1)
	text += "respond \"the application\" 404\n}"
	text = strings.ReplaceAll(text, "HUMA", huma.credentials()+"client_type ios\n")
	const set, one = "/google_iap", "/aws_alb/" + kidEC
	wantFetches := func(when string, ofSet, ofOne int) {
		t.Helper()
		if a, b := keys.requestCount(set), keys.requestCount(one); a != ofSet || b != ofOne {
			t.Errorf("%s: the key set was fetched %d times, want %d, the key %d times, want %d", when, a, ofSet, b, ofOne)
		}
	}

	s := serve(t, "SITE {\nrespond ok\n}")
	rejected := strings.Replace(text, "respond", "huma_token /other {\n}\nrespond", 1)
	validated := func() {
		t.Helper()
		if err := validateJSON(t, s.adapt(text)); err != nil {
			t.Fatal(err)
		}
		if err := wantError(s.load(rejected), "api:"); err != nil {
			t.Fatal(err)
		}
	}
	validated()
	wantFetches("validated and rejected", 0, 0)

	// All requests wait for the same fetch.
	keys.setDelay(500 * time.Millisecond)
	s.move()
	if err := s.load(text); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the key set is fetched before the first token request", func() bool { return keys.requestCount(set) == 1 })
	wantFetches("started", 1, 0)
	uids := make([]string, 200)
	var wg sync.WaitGroup
	for i := range uids {
		wg.Go(func() {
			p, path := iap, []string{"/google_iap", "/again", "/aws_alb"}[i%3]
			if path == "/aws_alb" {
				p = alb
			}
			a, err := s.tryRequest(context.Background(), "GET", path, p.signIn(fmt.Sprintf("u%d@x.example", i)))
			if err != nil || a.StatusCode != http.StatusOK {
				t.Errorf("request %d: %v %v", i, a, err)
				return
			}
			var v tokens
			_ = json.Unmarshal(a.Body, &v)
			uids[i] = v.UID
		})
	}
	wg.Wait()
	wantFetches("200 requests at once", 1, 1)
	accounts := make(map[string]string)
	for _, u := range huma.Users() {
		accounts[u.Email] = u.UID
	}
	for i, uid := range uids {
		if email := fmt.Sprintf("u%d@x.example", i); uid != accounts[email] || uid == "" {
			t.Errorf("%s has the token of user %q, want %q", email, uid, accounts[email])
		}
	}

	keys.setDelay(0)
	for i := range 5 {
		validated()
		s.move()
		if err := s.load(text + fmt.Sprintf("\n# %d", i)); err != nil {
			t.Fatal(err)
		}
		s.request("GET", "/google_iap", iap.signIn("u0@x.example")).tokens(t)
		s.request("GET", "/again", iap.signIn("u0@x.example")).tokens(t)
		s.request("GET", "/aws_alb", alb.signIn("u2@x.example")).tokens(t)
	}
	wantFetches("reloaded", 1, 1)

	// The keys are dropped with the last config that uses them.
	for _, config := range []string{"SITE {\nrespond ok\n}", text} {
		s.move()
		if err := s.load(config); err != nil {
			t.Fatal(err)
		}
	}
	s.request("GET", "/google_iap", iap.signIn("u0@x.example")).tokens(t)
	s.request("GET", "/aws_alb", alb.signIn("u2@x.example")).tokens(t)
	wantFetches("after a config without it", 2, 2)
	s.notLogged(t, "@x.example", "eyJ", "sandbox-secret")
	if strings.Contains(s.log(), "handlerError") {
		t.Error("Caddy cannot encode the handler of its start event in the debug log")
	}
}

// TestI17_KeyServerDown checks that known keys remain valid, that a token with another
// key gets a 503 response, and that new keys are found without a reload.
func TestI17_KeyServerDown(t *testing.T) {
	keys, never := newKeyServer(t), newKeyServer(t)
	iap, alb := signedPresetOf("google_iap"), signedPresetOf("aws_alb")
	closed, pomerium := signedPresetOf("cloudflare_access"), signedPresetOf("pomerium")
	keys.setKeysOf(iap, alb)
	never.setKeysOf(alb, pomerium)
	never.setDown(true)
	closed.verify = strings.ReplaceAll(closed.verify, "KEYS", "http://"+freeAddress(t)+"/keys")
	text := "SITE {\n" + iap.directive(keys, "") + alb.directive(keys, "") + pomerium.directive(never, "") + closed.directive(keys, "") +
		strings.Replace(alb.directive(never, ""), "/aws_alb {", "/never {", 1) + "}"
	begin := time.Now()
	d := open(t, text)
	known := func() {
		t.Helper()
		d.wantTokenOf(t, "ada@x.example", "/google_iap", iap.signIn("ada@x.example"))
		d.wantTokenOf(t, "ada@x.example", "/aws_alb", alb.signIn("ada@x.example"))
	}
	unavailable := func() {
		t.Helper()
		for path, p := range map[string]signedPreset{"/pomerium": pomerium, "/cloudflare_access": closed, "/never": alb} {
			a := d.wantRejection(t, 503, "identity_unavailable", path, p.signIn("ada@x.example"))
			if a.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		}
	}
	// The number of requests does not affect how often keys are fetched.
	checkFetchRate := func() {
		t.Helper()
		most := 2 + int(time.Since(begin)/keysInterval)
		for path, server := range map[string]*keyServer{"/google_iap": keys, "/pomerium": never} {
			if n := server.requestCount(path); n > most {
				t.Errorf("%s was fetched %d times, want at most %d", path, n, most)
			}
		}
	}
	known()
	unavailable()

	keys.setDown(true)
	known()
	unknown := func() {
		t.Helper()
		d.wantRejection(t, 503, "identity_unavailable", "/google_iap", iap.signInWithNextKey("ada@x.example"))
		d.wantRejection(t, 503, "identity_unavailable", "/aws_alb", alb.signInWithNextKey("ada@x.example"))
	}
	// Until the next fetch fails, a missing key means that the assertion is invalid.
	eventually(t, 10*time.Second, "the key server is found to be down", func() bool {
		time.Sleep(50 * time.Millisecond)
		return d.request("GET", "/google_iap", iap.signInWithNextKey("ada@x.example")).StatusCode == http.StatusServiceUnavailable
	})
	unknown()
	for i := range 3 {
		d.move()
		if err := d.load(fill(d.huma, text) + fmt.Sprintf("\n# %d", i)); err != nil {
			t.Fatal(err)
		}
		known()
		unknown()
		unavailable()
	}
	for range 50 {
		unknown()
		unavailable()
	}
	known()
	checkFetchRate()
	warnings := d.warnings("cannot fetch JWKS")
	if len(warnings) < 3 {
		t.Errorf("%d warnings, want one for each failed fetch", len(warnings))
	}
	if log := d.log(); !strings.Contains(log, "fetch JWKS: unexpected status 502") || !strings.Contains(log, "connection refused") {
		t.Error("the log does not contain the reason")
	}

	// The key servers are available again, one with other keys.
	for _, p := range []signedPreset{iap, alb} {
		keys.setKeys(p.name, map[string]crypto.Signer{nextKid: p.attackersKey()})
	}
	keys.setDown(false)
	never.setDown(false)
	ok := func(path string, edit func(*http.Request)) func() bool {
		return func() bool {
			time.Sleep(50 * time.Millisecond)
			return d.request("GET", path, edit).StatusCode == http.StatusOK
		}
	}
	eventually(t, 20*time.Second, "the new key is found", ok("/google_iap", iap.signInWithNextKey("ada@x.example")))
	eventually(t, 20*time.Second, "keys are fetched for the first time", ok("/pomerium", pomerium.signIn("ada@x.example")))
	eventually(t, 20*time.Second, "the new key is found by its id", ok("/aws_alb", alb.signInWithNextKey("ada@x.example")))
	eventually(t, 20*time.Second, "a key is fetched by its ID for the first time", ok("/never", alb.signIn("ada@x.example")))
	d.wantTokenOf(t, "ada@x.example", "/google_iap", iap.signInWithNextKey("ada@x.example"))
	d.wantRejection(t, 401, "identity_invalid", "/google_iap", iap.signIn("ada@x.example")) // this key was withdrawn
	checkFetchRate()
	d.notLogged(t, "@x.example", "eyJ", "CANARY")
}

// TestB8_Discovery checks that the option issuer is sufficient, and that a required claim
// replaces the audience.
func TestB8_Discovery(t *testing.T) {
	p := newOpenIDProvider(t)
	d := open(t, "SITE {\nhuma_token {\nHUMA\nidentity {\nemail Authorization email\nverify {\nissuer "+p.keys.URL+"/oidc\nrequire azp clinic-app clinic-web\nrequire groups patients\n}\n}\n}\n}")
	token := func(azp any, groups ...string) func(*http.Request) {
		return bearer(p.token("ada", "", map[string]any{"email": "ada@x.example", "azp": azp, "groups": groups}))
	}
	d.wantTokenOf(t, "ada@x.example", path, token("clinic-web", "staff", "patients"))
	for _, wrong := range []func(*http.Request){token("another-app", "patients"), token("clinic-app"), token(nil, "patients")} {
		a := d.wantRejection(t, 401, "identity_invalid", path, wrong)
		d.rejectedFor(t, a, "option require")
		if got := a.Header.Get("WWW-Authenticate"); !strings.Contains(got, "invalid_token") {
			t.Errorf("WWW-Authenticate: %q", got)
		}
	}
	if p.keys.requestCount("/oidc") != 1 || p.keys.requestCount("/oidc/.well-known/openid-configuration") != 1 {
		t.Errorf("requested %v", p.keys.requests)
	}
	d.notLogged(t, "@x.example", "eyJ")
}

// TestK10_WaitingRequests checks that at most max_waiting requests wait for a key server
// that hangs. The others get a 503 response immediately.
func TestK10_WaitingRequests(t *testing.T) {
	const limit, requests = 5, 300
	keys := newKeyServer(t)
	iap := signedPresetOf("google_iap")
	keys.setKeysOf(iap)
	keys.setDelay(2 * time.Second)
	d := open(t, "SITE {\n"+iap.directive(keys, fmt.Sprintf("max_waiting %d", limit))+"}")
	results := make(chan int, requests)
	for range requests {
		go func() {
			a, err := d.tryRequest(context.Background(), "GET", "/google_iap", iap.signIn("ada@x.example"))
			if err != nil {
				t.Error(err)
				results <- 0
				return
			}
			if a.StatusCode == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			results <- a.StatusCode
		}()
	}
	counts := make(map[int]int)
	for range requests {
		counts[<-results]++
	}
	if counts[http.StatusOK] != limit || counts[http.StatusServiceUnavailable] != requests-limit {
		t.Errorf("responses: %v", counts)
	}
}
