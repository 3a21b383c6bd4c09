package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// These are scripts for the example page.
const (
	pageReady   = `document.readyState === "complete" && document.querySelector("#calls td") !== null`
	focused     = `document.activeElement.id || document.activeElement.value || ""`
	humaMessage = `(document.querySelector("#huma [role=status]")?.textContent ?? "")`
	callsTable  = `document.getElementById("calls").innerText`
	breakerText = `document.getElementById("breaker").textContent`
	outageText  = `document.getElementById("outage-message").textContent`
)

// member returns a script for the value of a member in the response that the page shows.
func member(section, name string) string {
	return fmt.Sprintf(`([...document.querySelectorAll("#%s tbody tr")].find((r) => r.cells[0].textContent === %q)?.cells[1].textContent ?? "")`, section, name)
}

// openDemo starts the example and opens its page, without Human API's SDK.
func openDemo(t *testing.T, c *chromium) (*site, *tab) {
	t.Helper()
	s := startExample(t, "")
	p := c.open(t, s.url+"/")
	p.wait(t, pageReady)
	return s, p
}

// TestBrowserDemo uses the example page with the keyboard only.
func TestBrowserDemo(t *testing.T) {
	c := startChromium(t, needChromium(t))

	t.Run("tokens", func(t *testing.T) {
		s, p := openDemo(t, c)
		if got := p.eval(t, callsTable); got != "none" {
			t.Fatalf("calls before the first request: %q", got)
		}
		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+` === "200: a new token for alice. Calls at Huma: signin 403, signup 201."`)
		p.wait(t, callsTable+`.includes("signup")`)
		seen := p.members(t, "huma")
		for _, name := range []string{"authToken", "refreshToken"} {
			if !strings.Contains(seen[name], "…") || len(seen[name]) > 40 {
				t.Errorf("%s is not shortened: %q", name, seen[name])
			}
		}
		cached := do(t, "GET", s.url+"/private/huma-token?client_type=ios", alice, nil)
		token, _ := cached.json["authToken"].(string)
		if token == "" || !strings.HasPrefix(seen["authToken"], token[:4]+"…"+token[len(token)-6:]) {
			t.Errorf("the page shows %q, want the cached token %s", seen["authToken"], cached.body)
		}
		if strings.Contains(p.eval(t, `document.documentElement.outerHTML`).(string), token) {
			t.Error("the page contains a token in full")
		}
		s.wantNotLogged(t, token, "alice@example.com")
		if got := seen["authTokenExpiresIn"]; !strings.HasPrefix(got, "14 min 5") {
			t.Errorf("authTokenExpiresIn is %q", got)
		}
		if got := seen["refreshTokenExpiresIn"]; !strings.HasPrefix(got, "44 d 23 h 59 min 5") {
			t.Errorf("refreshTokenExpiresIn is %q", got)
		}
		for _, name := range []string{"authTokenExpiresIn", "refreshTokenExpiresIn", "expiresIn"} {
			p.wait(t, fmt.Sprintf("%s !== %q", member("huma", name), seen[name]))
		}

		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+` === "200: a token for alice from the cache. No call at Huma."`)
		p.press(t, "huma-fresh", "Enter")
		p.wait(t, humaMessage+` === "200: a new token for alice. Calls at Huma: signin 200."`)
		fresh := p.members(t, "huma")
		if fresh["authToken"] == seen["authToken"] || fresh["uid"] != seen["uid"] {
			t.Errorf("the fresh token is %v, after %v", fresh, seen)
		}
		p.press(t, "huma-fresh", "Enter")
		p.wait(t, humaMessage+` === "200: the fresh token for alice of less than 5 seconds ago. No call at Huma."`)

		// The arrow keys select the next client type.
		for _, kind := range []string{"android", "web"} {
			p.tabTo(t, map[string]string{"android": "ios", "web": "android"}[kind])
			p.key(t, "ArrowRight")
			p.press(t, "huma-get", "Enter")
			p.wait(t, `document.querySelector("#huma caption").textContent === "Response for alice, `+kind+`" && `+humaMessage+`.endsWith("signin 200.")`)
		}
		if got := p.eval(t, `document.querySelector("#huma pre").textContent`); got != "curl -u alice:wonderland '"+s.url+"/private/huma-token?client_type=web'" {
			t.Errorf("the command is %q", got)
		}

		p.press(t, "sign-out", "Enter")
		p.wait(t, `document.getElementById("user-message").textContent.endsWith("DELETE /private/huma-token: 204, DELETE /private/human-api-token: 204.")`)
		if got := p.eval(t, `document.getElementById("huma").textContent`); got != "" {
			t.Errorf("after the sign-out, the page shows %q", got)
		}
		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+` === "401: Unauthenticated. No call at Huma."`)
		p.tabTo(t, "user")
		p.key(t, "ArrowRight") // from nobody to the first user, alice
		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+` === "200: a new token for alice. Calls at Huma: signin 200."`)
		p.tabTo(t, "alice")
		p.key(t, "ArrowRight")
		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+` === "200: a new token for bob. Calls at Huma: signin 403, signup 201."`)
		p.wantClean(t, s)
	})

	t.Run("outage", func(t *testing.T) {
		s, p := openDemo(t, c)
		s.control(t, "PUT", "faults", []any{map[string]any{"op": "session", "status": 500}})
		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+`.startsWith("200: a new token")`)
		p.press(t, "outage-requests", "Enter")
		p.wait(t, outageText+`.includes("Turn the switch on first")`)
		p.press(t, "outage", "Enter")
		p.wait(t, `document.getElementById("outage").ariaChecked === "true" && `+outageText+` === ""`)
		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+`.includes("from the cache")`)
		p.press(t, "huma-fresh", "Enter")
		p.wait(t, humaMessage+` === "503: Service unavailable. Calls at Huma: signin 503, signin 503."`)
		if got := p.eval(t, `document.querySelector("#huma a").textContent`); got != "upstream_unavailable" {
			t.Errorf("the link to the documentation is %q", got)
		}
		p.wait(t, breakerText+`.startsWith("closed")`)
		p.press(t, "outage-requests", "Enter")
		p.wait(t, breakerText+`.startsWith("open")`)
		p.wait(t, outageText+`.includes("× 503") && `+outageText+`.includes("The circuit breaker is open.")`)
		p.press(t, "huma-fresh", "Enter")
		p.wait(t, humaMessage+` === "503: Service unavailable. No call at Huma." && `+member("huma", "Retry-After")+` !== ""`)
		p.screenshot(t, "outage")

		p.press(t, "outage", "Enter")
		p.wait(t, `document.getElementById("outage").ariaChecked === "false" && `+outageText+`.startsWith("Huma is up.")`)
		var faults []map[string]any
		if a := do(t, "GET", s.huma+"/_sandbox/faults", nil, nil); json.Unmarshal([]byte(a.body), &faults) != nil || len(faults) != 1 || faults[0]["op"] != "session" {
			t.Errorf("the faults are %s, want only the one from before", a.body)
		}
		p.wait(t, member("huma", "Retry-After")+` === "expired"`)
		p.press(t, "huma-fresh", "Enter")
		p.wait(t, humaMessage+`.startsWith("200: a new token for alice.")`)
		p.wait(t, breakerText+`.startsWith("closed")`)
		p.wantClean(t, s)
	})

	t.Run("Human API", func(t *testing.T) {
		s, p := openDemo(t, c)
		p.press(t, "human-source", "Enter")
		p.wait(t, message+`.includes("Get a token first")`)
		p.press(t, "human-get", "Enter")
		p.wait(t, tokenMessage+` === "200: a new token for alice. Calls at Human API: session 200."`)
		if got := p.members(t, "human"); got["type"] != "session" || !strings.HasPrefix(got["expires_in"], "59 min 5") {
			t.Errorf("the response is %v", got)
		}
		p.press(t, "human-source", "Enter")
		p.wait(t, message+`.startsWith("alice has connected a data source.")`)
		p.press(t, "human-fresh", "Enter")
		p.wait(t, tokenMessage+` === "200: a new token for alice. Calls at Human API: session 403, id 200."`)
		if got := p.members(t, "human"); got["type"] != "id" {
			t.Errorf("the response is %v", got)
		}
		p.press(t, "no-sdk", "Enter")
		p.wait(t, `document.querySelector("#no-sdk pre").checkVisibility()`)
		p.wantClean(t, s)
	})

	t.Run("layout", func(t *testing.T) {
		s, p := openDemo(t, c)
		p.press(t, "huma-get", "Enter")
		p.wait(t, humaMessage+` !== "" && `+callsTable+`.includes("signup")`)
		p.press(t, "human-get", "Enter")
		p.wait(t, tokenMessage+` !== ""`)
		p.press(t, "no-sdk", "Enter")
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1280, 768, 360, 320} {
				p.emulate(t, width, scheme)
				if got := p.eval(t, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); got != 0.0 {
					t.Errorf("the page is %v pixels wider than a window of %d", got, width)
				}
				if got := p.eval(t, lowContrast); len(got.([]any)) > 0 {
					t.Errorf("%s, %d: low contrast: %v", scheme, width, got)
				}
				p.screenshot(t, fmt.Sprintf("%s-%d", scheme, width))
			}
		}
		p.wantClean(t, s)
	})
}

// lowContrast is a script that returns the texts whose contrast to their background is
// below 4.5:1 (WCAG 2.2, success criterion 1.4.3).
const lowContrast = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const luminance = (color) => rgba(color).slice(0, 3).map((c) => c / 255)
		.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const background = (e) => {
		while (e.parentElement && rgba(getComputedStyle(e).backgroundColor)[3] === 0) e = e.parentElement;
		return getComputedStyle(e).backgroundColor;
	};
	const bad = [];
	for (const e of document.body.querySelectorAll("*")) {
		const text = [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
		if (text === "" || !e.checkVisibility() || e.disabled) continue;
		const [a, b] = [luminance(getComputedStyle(e).color), luminance(background(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) bad.push(text.slice(0, 30) + " " + ratio.toFixed(2));
	}
	return bad;
})()`

// members returns the members of the response that a section of the page shows.
func (p *tab) members(t *testing.T, section string) map[string]string {
	t.Helper()
	all := map[string]string{}
	rows := p.eval(t, `[...document.querySelectorAll("#`+section+` tbody tr")].map((r) => [...r.cells].map((c) => c.textContent))`)
	for _, row := range rows.([]any) {
		cells := row.([]any)
		all[cells[0].(string)] = cells[1].(string)
	}
	return all
}

// tabTo presses the tab key until an element has the focus: the one with this id, the one
// in the element with this id, or the radio button with this name or value.
func (p *tab) tabTo(t *testing.T, name string) {
	t.Helper()
	is := fmt.Sprintf(`(() => { const e = document.activeElement; return e.id === %[1]q || e.name === %[1]q || (e.value !== "" && e.value === %[1]q) || (e.parentElement?.id === %[1]q); })()`, name)
	for range 60 {
		if p.eval(t, is) == true {
			if outline := p.eval(t, `getComputedStyle(document.activeElement).outlineWidth`); outline != "3px" {
				t.Fatalf("%s has the focus, with an outline of %v", name, outline)
			}
			return
		}
		p.key(t, "Tab")
	}
	t.Fatalf("the tab key does not reach %s", name)
}

// press moves the focus to an element and presses a key.
func (p *tab) press(t *testing.T, name, key string) {
	t.Helper()
	p.tabTo(t, name)
	p.key(t, key)
	if got := p.eval(t, focused); got == "" && name != "no-sdk" {
		t.Errorf("%s has lost the focus", name)
	}
}

// key presses a key.
func (p *tab) key(t *testing.T, name string) {
	t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, "ArrowRight": 39}[name]
	text := map[string]string{"Enter": "\r"}[name]
	for _, kind := range []string{"keyDown", "keyUp"} {
		event := map[string]any{"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code}
		if kind == "keyDown" && text != "" {
			event["text"] = text
		}
		if _, err := p.c.call(p.session, "Input.dispatchKeyEvent", event); err != nil {
			t.Fatal(err)
		}
	}
}

// emulate sets the width of the window and the color scheme.
func (p *tab) emulate(t *testing.T, width int, scheme string) {
	t.Helper()
	for method, params := range map[string]any{
		"Emulation.setScrollbarsHidden":      map[string]any{"hidden": true},
		"Emulation.setDeviceMetricsOverride": map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
		"Emulation.setEmulatedMedia":         map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}},
	} {
		if _, err := p.c.call(p.session, method, params); err != nil {
			t.Fatal(err)
		}
	}
}

// screenshot saves an image of the whole page in the directory
// CADDY_HUMA_E2E_SCREENSHOTS, if it is set.
func (p *tab) screenshot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("CADDY_HUMA_E2E_SCREENSHOTS")
	if dir == "" {
		return
	}
	result, err := p.c.call(p.session, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true})
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Data string }
	if err := json.Unmarshal(result, &got); err != nil {
		t.Fatal(err)
	}
	image, err := base64.StdEncoding.DecodeString(got.Data)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".png"), string(image))
}

// wantClean checks that the page has violated no policy, that its console is empty, and that
// the browser has asked for no password.
func (p *tab) wantClean(t *testing.T, s *site) {
	t.Helper()
	p.wantNoOtherRequests(t, s.url)
	for _, line := range p.consoleLines() {
		// The browser itself reports each status of 400 and more.
		expected := slices.ContainsFunc([]string{"/private/huma-token", "/private/human-api-token", "/_sandbox/connect"}, func(path string) bool {
			return strings.Contains(line.params, `"source":"network"`) && strings.Contains(line.params, s.url+path)
		})
		if !expected && !strings.Contains(line.params, s.url+"/human-connect.js") {
			t.Errorf("in the console: %s %s", line.method, line.params)
		}
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.c.dialogs > 0 {
		t.Errorf("the browser has asked for a password %d times", p.c.dialogs)
	}
}
