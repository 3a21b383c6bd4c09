package e2e

import (
	"net/http"
	"os"
	"strconv"
	"testing"
)

// browserTools returns the browser and Human API's SDK, which .ci/e2e installs.
// Without them there is nothing to test, which is an error where they were
// promised.
func browserTools(t *testing.T) (browser, sdk string) {
	t.Helper()
	missing := t.Skip
	if os.Getenv("CADDY_HUMA_E2E_BROWSER") == "1" {
		missing = t.Fatal
	}
	if browser = findChromium(); browser == "" {
		missing("NOT TESTED: no chromium, so the example page is not tried in a browser. .ci/e2e browser installs it")
	}
	if sdk = os.Getenv("CADDY_HUMA_E2E_SDK"); sdk == "" {
		missing("NOT TESTED: CADDY_HUMA_E2E_SDK does not name Human API's SDK, so the example page is not tried with it. .ci/e2e browser fetches it")
	}
	if _, err := os.Stat(sdk); err != nil {
		missing("NOT TESTED: ", err)
	}
	return browser, sdk
}

// closes is Connect's stand-in that closes itself, as Connect does when it has
// looked at its token.
func closes(status string) stub {
	return stub{200, "text/html", `<!doctype html><script>parent.postMessage({type: "hapi-connect-close", status: "` + status + `"}, "*")</script>`}
}

// stays is Connect's stand-in that takes its token.
var stays = stub{200, "text/html", `<!doctype html><title>Connect's stand-in</title>`}

// TestBrowser opens the page of the example in a browser: with Human API's own
// SDK, and with the sandbox in the place of the service that gives the tokens.
// Connect itself, the page in the frame, has a stand-in.
func TestBrowser(t *testing.T) {
	program, sdk := browserTools(t)
	c := startChromium(t, program)
	// open starts the example and opens its page as alice.
	open := func(t *testing.T, prepare func(*site), connect ...stub) (*site, *tab) {
		t.Helper()
		s := startExample(t, sdk)
		prepare(s)
		c.signIn(s.url, "alice", "wonderland")
		c.stub(connectAddress, connect...)
		return s, c.open(t, s.url+"/")
	}
	asItIs := func(*site) {}

	t.Run("the SDK opens Connect with our token", func(t *testing.T) {
		s, p := open(t, asItIs, stays)
		p.wait(t, buttonReady)
		token := s.wantCached(t, "session")
		if got := p.eval(t, buttonToken); got != token {
			t.Fatalf("data-hapi-token is %q, want %q", got, token)
		}
		if got := p.eval(t, frameAddress); got != nil {
			t.Fatalf("Connect is open before the click: %v", got)
		}
		p.eval(t, clickButton)
		p.wantOpen(t, token, 1)
		p.wantQuiet(t, s.url)
		p.wantAsked(t, "")
		if got := s.humanCalls(t); got != "session 200" {
			t.Errorf("Human API saw %s", got)
		}
		s.wantQuietLog(t, token, "alice@example.com")
	})

	t.Run("once a source is connected", func(t *testing.T) {
		s, p := open(t, asItIs, stays)
		p.wait(t, buttonReady)
		session := s.wantCached(t, "session")
		s.connect(t, map[string]any{})
		p.reload(t, false)
		p.wait(t, buttonReady)
		if got := p.eval(t, buttonToken); got != session {
			t.Errorf("data-hapi-token is %q, want the session's, which has not ended: %q", got, session)
		}
		p.reload(t, true)
		p.wait(t, buttonReady)
		id := s.wantCached(t, "id")
		p.eval(t, clickButton)
		p.wantOpen(t, id, 1)
		if got := s.humanCalls(t); got != "session 200, session 403, id 200" {
			t.Errorf("Human API saw %s", got)
		}
		s.wantQuietLog(t, session, id)
	})

	for _, status := range []string{"SESSION_TOKEN_EXPIRED", "SESSION_TOKEN_INVALID"} {
		t.Run("a rejected token is replaced: "+status, func(t *testing.T) {
			s, p := open(t, asItIs, closes(status), stays)
			p.wait(t, buttonReady)
			old := s.wantCached(t, "session")
			p.eval(t, clickButton)
			p.waitFrames(t, 2)
			token := s.wantCached(t, "session")
			if token == old {
				t.Error("the new token is the old one")
			}
			p.wantOpen(t, token, 2)
			p.wantQuiet(t, s.url)
			p.wantAsked(t, "", "no-cache")
			if got := s.humanCalls(t); got != "session 200, session 200" {
				t.Errorf("Human API saw %s", got)
			}
		})
	}

	t.Run("a rejected session is replaced by an id token", func(t *testing.T) {
		s, p := open(t, asItIs, closes("SESSION_TOKEN_EXPIRED"), stays)
		p.wait(t, buttonReady)
		s.connect(t, map[string]any{})
		p.eval(t, clickButton)
		p.waitFrames(t, 2)
		p.wantOpen(t, s.wantCached(t, "id"), 2)
		p.wantAsked(t, "", "no-cache")
	})

	t.Run("every token is rejected", func(t *testing.T) {
		s, p := open(t, asItIs, closes("SESSION_TOKEN_INVALID"))
		p.wait(t, buttonReady)
		p.eval(t, clickButton)
		p.wait(t, message+`.includes("rejects its token")`)
		p.wait(t, frameAddress+` === null`)
		p.waitFrames(t, 2)
		p.wantQuiet(t, s.url)
		p.wantAsked(t, "", "no-cache")
	})

	t.Run("a token that Connect takes is kept", func(t *testing.T) {
		s, p := open(t, asItIs, closes("SUCCESS"))
		p.wait(t, buttonReady)
		for n := range 2 {
			p.eval(t, clickButton)
			p.waitFrames(t, n+1)
			p.wait(t, frameAddress+` === null`)
		}
		if got, want := p.eval(t, buttonToken), s.wantCached(t, "session"); got != want {
			t.Errorf("data-hapi-token is %q, want %q", got, want)
		}
		p.wantAsked(t, "")
	})

	t.Run("a token that a URL or an attribute could garble", func(t *testing.T) {
		const odd = `to+ken/1=&token=x?#%41 "é<`
		s, p := open(t, func(s *site) {
			s.fault(t, map[string]any{"status": 200, "body": map[string]any{"session_token": odd, "human_id": "h", "expires_in": 3600}})
		}, stays)
		p.wait(t, buttonReady)
		if got := s.wantCached(t, "session"); got != odd {
			t.Fatalf("the site gives %q, want %q", got, odd)
		}
		p.eval(t, clickButton)
		p.wantOpen(t, odd, 1)
	})

	t.Run("no token", func(t *testing.T) {
		for want, prepare := range map[string]func(*site){
			"Connect unavailable (409)": func(s *site) {
				do(t, http.MethodGet, s.url+tokenPath, alice, nil) // which makes the user
				do(t, http.MethodDelete, s.url+tokenPath, alice, nil)
				s.connect(t, map[string]any{"id_allowed": false})
			},
			"Service unavailable (503)":  func(s *site) { s.fault(t, map[string]any{"status": 503}) },
			"Credentials rejected (502)": func(s *site) { s.fault(t, map[string]any{"code": "INVALID_CLIENT_ID_OR_SECRET"}) },
			// What the site itself never says, but perhaps something before it.
			"no token (503)": func(s *site) { c.stub(s.url+tokenPath, stub{503, "text/html", "<title>Away</title>"}) },
			"no token (200)": func(s *site) { c.stub(s.url+tokenPath, stub{200, "application/json", `{"token": ""}`}) },
		} {
			t.Run(want, func(t *testing.T) {
				s, p := open(t, prepare, stays)
				p.wait(t, message+`.includes(`+strconv.Quote(want)+`)`)
				if got := p.eval(t, buttonToken); got != nil {
					t.Errorf("data-hapi-token is %q", got)
				}
				if p.eval(t, buttonDisabled) != true {
					t.Error("the button can be pressed")
				}
				p.wantQuiet(t, s.url)
				p.wantAsked(t, "")
			})
		}
	})

	t.Run("no SDK", func(t *testing.T) {
		s := startExample(t, "")
		c.signIn(s.url, "alice", "wonderland")
		p := c.open(t, s.url+"/")
		p.wait(t, `document.readyState === "complete"`)
		if p.eval(t, `document.getElementById("no-sdk").checkVisibility()`) != true {
			t.Error("the page does not say that the SDK is missing")
		}
		p.wantQuiet(t, s.url)
		p.wantAsked(t) // nobody needs a token
	})

	t.Run("nobody", func(t *testing.T) {
		s := startExample(t, sdk)
		p := c.open(t, s.url+"/")
		p.wait(t, `document.readyState === "complete" && location.pathname === "/"`)
		if got := p.eval(t, `document.getElementById("connect")`); got != nil {
			t.Error("the page is shown without sign-in")
		}
		if got := s.humanCalls(t); got != "" {
			t.Errorf("Human API saw %s", got)
		}
	})
}
