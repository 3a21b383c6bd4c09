package e2e

import (
	"net/http"
	"os"
	"strconv"
	"testing"
)

// skipOrFail skips a test because a tool is missing, or fails if the tools are required.
func skipOrFail(t *testing.T, reason ...any) {
	t.Helper()
	if os.Getenv("CADDY_HUMA_E2E_BROWSER") == "1" {
		t.Fatal(reason...)
	}
	t.Skip(reason...)
}

// needChromium returns the browser, which .ci/e2e installs.
func needChromium(t *testing.T) string {
	t.Helper()
	browser := findChromium()
	if browser == "" {
		skipOrFail(t, "NOT TESTED: no chromium, so nothing is tried in a browser. .ci/e2e browser installs it")
	}
	return browser
}

// browserTools returns the browser and Human API's SDK, which .ci/e2e installs.
func browserTools(t *testing.T) (browser, sdk string) {
	t.Helper()
	browser = needChromium(t)
	if sdk = os.Getenv("CADDY_HUMA_E2E_SDK"); sdk == "" {
		skipOrFail(t, "NOT TESTED: CADDY_HUMA_E2E_SDK does not name Human API's SDK, so the example page is not tried with it. .ci/e2e browser fetches it")
	}
	if _, err := os.Stat(sdk); err != nil {
		skipOrFail(t, "NOT TESTED: ", err)
	}
	return browser, sdk
}

// closingConnect is a fake of Connect that closes itself, as Connect does after it has
// checked its token.
func closingConnect(status string) stub {
	return stub{200, "text/html", `<!doctype html><script>parent.postMessage({type: "hapi-connect-close", status: "` + status + `"}, "*")</script>`}
}

// fakeConnect is a fake of Connect that accepts its token.
var fakeConnect = stub{200, "text/html", `<!doctype html><title>Connect's stand-in</title>`}

// TestBrowser opens the example page in a browser, with Human API's own SDK. The sandbox
// takes the place of Human API, and a stub that of Connect, the page in the frame.
func TestBrowser(t *testing.T) {
	program, sdk := browserTools(t)
	c := startChromium(t, program)
	// open starts the example, opens its page as alice, and gets a token of Human API.
	open := func(t *testing.T, prepare func(*site), connect ...stub) (*site, *tab) {
		t.Helper()
		s := startExample(t, sdk)
		prepare(s)
		c.stub(connectAddress, connect...)
		return s, c.open(t, s.url+"/", onLoad(clickGet))
	}
	asItIs := func(*site) {}

	t.Run("the SDK opens Connect with the site's token", func(t *testing.T) {
		s, p := open(t, asItIs, fakeConnect)
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
		p.wantNoOtherRequests(t, s.url)
		p.wantTokenRequests(t, "")
		if got := s.humanCalls(t); got != "session 200" {
			t.Errorf("Human API received %s", got)
		}
		s.wantNotLogged(t, token, "alice@example.com")
	})

	t.Run("once a source is connected", func(t *testing.T) {
		s, p := open(t, asItIs, fakeConnect)
		p.wait(t, buttonReady)
		session := s.wantCached(t, "session")
		s.connect(t, map[string]any{})
		p.reload(t, false)
		p.wait(t, buttonReady)
		if got := p.eval(t, buttonToken); got != session {
			t.Errorf("data-hapi-token is %q, want the session token, which has not expired: %q", got, session)
		}
		p.eval(t, `document.getElementById("human-fresh").click()`)
		p.wait(t, tokenMessage+`.includes("id 200")`)
		id := s.wantCached(t, "id")
		p.eval(t, clickButton)
		p.wantOpen(t, id, 1)
		if got := s.humanCalls(t); got != "session 200, session 403, id 200" {
			t.Errorf("Human API received %s", got)
		}
		s.wantNotLogged(t, session, id)
	})

	t.Run("a hard reload of a page that fetches the token while it loads", func(t *testing.T) {
		s := startExample(t, sdk)
		p := c.open(t, s.url+"/", onLoad(`fetch("`+tokenPath+`", {headers: {Authorization: "`+alice.Get("Authorization")+`"}}).then((r) => r.text()).then(() => { window.fetched = true; })`))
		p.wait(t, `window.fetched === true`)
		s.connect(t, map[string]any{})
		for _, forced := range []bool{false, true} {
			p.reload(t, forced)
			p.wait(t, `window.fetched === true`)
		}
		s.wantCached(t, "id")
		if got := s.humanCalls(t); got != "session 200, session 403, id 200" {
			t.Errorf("Human API received %s", got)
		}
	})

	for _, status := range []string{"SESSION_TOKEN_EXPIRED", "SESSION_TOKEN_INVALID"} {
		t.Run("a rejected token is replaced: "+status, func(t *testing.T) {
			s, p := open(t, asItIs, closingConnect(status), fakeConnect)
			p.wait(t, buttonReady)
			old := s.wantCached(t, "session")
			p.eval(t, clickButton)
			p.waitFrames(t, 2)
			token := s.wantCached(t, "session")
			if token == old {
				t.Error("the token was not replaced")
			}
			p.wantOpen(t, token, 2)
			p.wantNoOtherRequests(t, s.url)
			p.wantTokenRequests(t, "", "no-cache")
			if got := s.humanCalls(t); got != "session 200, session 200" {
				t.Errorf("Human API received %s", got)
			}
		})
	}

	t.Run("a rejected session is replaced by an id token", func(t *testing.T) {
		s, p := open(t, asItIs, closingConnect("SESSION_TOKEN_EXPIRED"), fakeConnect)
		p.wait(t, buttonReady)
		s.connect(t, map[string]any{})
		p.eval(t, clickButton)
		p.waitFrames(t, 2)
		p.wantOpen(t, s.wantCached(t, "id"), 2)
		p.wantTokenRequests(t, "", "no-cache")
	})

	t.Run("every token is rejected", func(t *testing.T) {
		s, p := open(t, asItIs, closingConnect("SESSION_TOKEN_INVALID"))
		p.wait(t, buttonReady)
		p.eval(t, clickButton)
		p.wait(t, message+`.includes("rejects its token")`)
		p.wait(t, frameAddress+` === null`)
		p.waitFrames(t, 2)
		p.wantNoOtherRequests(t, s.url)
		p.wantTokenRequests(t, "", "no-cache")
	})

	t.Run("an accepted token is kept", func(t *testing.T) {
		s, p := open(t, asItIs, closingConnect("SUCCESS"))
		p.wait(t, buttonReady)
		for n := range 2 {
			p.eval(t, clickButton)
			p.waitFrames(t, n+1)
			p.wait(t, frameAddress+` === null`)
		}
		if got, want := p.eval(t, buttonToken), s.wantCached(t, "session"); got != want {
			t.Errorf("data-hapi-token is %q, want %q", got, want)
		}
		p.wantTokenRequests(t, "")
	})

	t.Run("a token that needs escaping in URLs and attributes", func(t *testing.T) {
		const odd = `to+ken/1=&token=x?#%41 "é<`
		s, p := open(t, func(s *site) {
			s.fault(t, map[string]any{"status": 200, "body": map[string]any{"session_token": odd, "human_id": "h", "expires_in": 3600}})
		}, fakeConnect)
		p.wait(t, buttonReady)
		if got := s.wantCached(t, "session"); got != odd {
			t.Fatalf("the site responds with %q, want %q", got, odd)
		}
		p.eval(t, clickButton)
		p.wantOpen(t, odd, 1)
	})

	t.Run("no token", func(t *testing.T) {
		for want, prepare := range map[string]func(*site){
			"409: Connect unavailable.": func(s *site) {
				do(t, http.MethodGet, s.url+tokenPath, alice, nil) // creates the user
				do(t, http.MethodDelete, s.url+tokenPath, alice, nil)
				s.connect(t, map[string]any{"id_allowed": false})
			},
			"503: Service unavailable.":  func(s *site) { s.fault(t, map[string]any{"status": 503}) },
			"502: Credentials rejected.": func(s *site) { s.fault(t, map[string]any{"code": "INVALID_CLIENT_ID_OR_SECRET"}) },
			// The site itself never sends these responses, but a proxy may.
			"503: Error.":    func(s *site) { c.stub(s.url+tokenPath, stub{503, "text/html", "<title>Away</title>"}) },
			"no token (200)": func(s *site) { c.stub(s.url+tokenPath, stub{200, "application/json", `{"token": ""}`}) },
		} {
			t.Run(want, func(t *testing.T) {
				s, p := open(t, prepare, fakeConnect)
				p.wait(t, tokenMessage+`.includes(`+strconv.Quote(want)+`)`)
				if got := p.eval(t, buttonToken); got != nil {
					t.Errorf("data-hapi-token is %q", got)
				}
				if p.eval(t, buttonDisabled) != true {
					t.Error("the button is enabled")
				}
				p.wantNoOtherRequests(t, s.url)
				p.wantTokenRequests(t, "")
			})
		}
	})

	t.Run("no SDK", func(t *testing.T) {
		s := startExample(t, "")
		p := c.open(t, s.url+"/", onLoad(clickGet))
		p.wait(t, tokenMessage+`.startsWith("200: ")`)
		if p.eval(t, `document.getElementById("no-sdk").checkVisibility()`) != true {
			t.Error("the page does not say that the SDK is missing")
		}
		if p.eval(t, `document.getElementById("connect").checkVisibility()`) != false {
			t.Error("the button Connect is shown, but does nothing")
		}
		p.wantNoOtherRequests(t, s.url)
		p.wantTokenRequests(t, "")
	})
}
