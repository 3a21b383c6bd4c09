package e2e

import (
	"net/url"
	"slices"
	"testing"
	"time"
)

// The SDK opens these addresses, with the token in the query.
const (
	connectOrigin  = "https://hapi-connect.humanapi.co"
	connectAddress = connectOrigin + "/"
)

// These are scripts for the buttons of the example page's section about Human API, their
// messages, and the frame of the SDK.
const (
	buttonReady    = `document.readyState === "complete" && document.querySelector(".hapi__token-container button")?.disabled === false`
	buttonDisabled = `document.getElementById("connect").disabled`
	buttonToken    = `document.querySelector(".hapi__token-container [data-hapi-token]")?.dataset.hapiToken ?? null`
	clickButton    = `document.querySelector(".hapi__token-container button").click()`
	clickGet       = `document.getElementById("human-get").click()`
	frameAddress   = `document.querySelector("iframe#human-api")?.src ?? null`
	message        = `document.getElementById("connect-message").textContent`
	tokenMessage   = `(document.querySelector("#human [role=status]")?.textContent ?? "")`
)

// frames returns the requests for Connect.
func (p *tab) frames() []seenRequest {
	return slices.DeleteFunc(p.requests("Document"), func(r seenRequest) bool { return r.url.Scheme+"://"+r.url.Host != connectOrigin })
}

// waitFrames waits until the browser has requested n frames.
func (p *tab) waitFrames(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(processTimeout); len(p.frames()) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			break
		}
	}
	if got := len(p.frames()); got != n {
		t.Fatalf("%d frames were requested, want %d", got, n)
	}
}

// wantOpen checks that the SDK has opened Connect with the given token, as the nth frame
// of the page.
func (p *tab) wantOpen(t *testing.T, token string, n int) {
	t.Helper()
	p.waitFrames(t, n)
	if got := p.eval(t, buttonToken); got != token {
		t.Errorf("data-hapi-token is %q, want %q", got, token)
	}
	address, _ := p.eval(t, frameAddress).(string)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]*url.URL{"the frame's address is": u, "the browser requested": p.frames()[n-1].url} {
		if got.Scheme+"://"+got.Host != connectOrigin || !slices.Equal(got.Query()["token"], []string{token}) {
			t.Errorf("%s %q, want %s with the token %q", what, got, connectOrigin, token)
		}
	}
}

// wantTokenRequests checks that the page has sent len(want) requests for tokens, with these
// values of Cache-Control.
func (p *tab) wantTokenRequests(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, r := range p.requests("") {
		if r.url.Path == tokenPath {
			got = append(got, r.headers["Cache-Control"])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("tokens were requested with Cache-Control %q, want %q", got, want)
	}
}

// wantNoOtherRequests checks that the page has requested nothing from other origins than
// the site and Connect, and that the browser has blocked nothing.
func (p *tab) wantNoOtherRequests(t *testing.T, site string) {
	t.Helper()
	for _, r := range p.requests("") {
		// The picture in the frame while Connect loads does not exist.
		if origin := r.url.Scheme + "://" + r.url.Host; origin != site && origin != connectOrigin {
			t.Errorf("%s %s was requested", r.kind, r.url)
		}
	}
	if got := p.eval(t, "violations"); len(got.([]any)) > 0 {
		t.Errorf("blocked by the policy: %v", got)
	}
}
