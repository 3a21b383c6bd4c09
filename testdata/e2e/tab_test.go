package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// tab is a page with its own browser profile.
type tab struct {
	c            *chromium
	session      string
	firstRequest int // the index of its first request
	firstLine    int // the index of its first console line
}

// onLoad is a script that a page runs after it has loaded.
func onLoad(script string) string { return `addEventListener("load", () => {` + script + `});` }

// open opens an address, with scripts that run before those of the page. The tab is closed at the end of the test. Only one tab may be
// open at a time.
func (c *chromium) open(t *testing.T, address string, scripts ...string) *tab {
	t.Helper()
	must := func(session, method string, params, to any) {
		t.Helper()
		result, err := c.call(session, method, params)
		if err == nil && to != nil {
			err = json.Unmarshal(result, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var got struct{ BrowserContextID, TargetID, SessionID string }
	must("", "Target.createBrowserContext", map[string]any{}, &got)
	t.Cleanup(func() {
		_, err := c.call("", "Target.disposeBrowserContext", map[string]any{"browserContextId": got.BrowserContextID})
		if err != nil {
			t.Error(err)
		}
	})
	must("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": got.BrowserContextID}, &got)
	must("", "Target.attachToTarget", map[string]any{"targetId": got.TargetID, "flatten": true}, &got)
	c.mu.Lock()
	p := &tab{c: c, session: got.SessionID, firstRequest: len(c.seen), firstLine: len(c.console)}
	c.mu.Unlock()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the page's console:\n%q", p.consoleLines())
		}
	})
	must(p.session, "Runtime.enable", map[string]any{}, nil)
	must(p.session, "Log.enable", map[string]any{}, nil)
	must(p.session, "Page.enable", map[string]any{}, nil)
	// Record violations of the page's policy from the first script on.
	must(p.session, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `
		window.violations = [];
		addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
	` + strings.Join(scripts, "\n")}, nil)
	must(p.session, "Page.navigate", map[string]any{"url": address}, nil)
	return p
}

// reload reloads the page. If forced is set, it bypasses all caches, as with the shift
// key.
func (p *tab) reload(t *testing.T, forced bool) {
	t.Helper()
	p.eval(t, "window.reloaded = false")
	if _, err := p.c.call(p.session, "Page.reload", map[string]any{"ignoreCache": forced}); err != nil {
		t.Fatal(err)
	}
	p.wait(t, "window.reloaded === undefined")
}

// consoleLines returns the messages in the console of the page.
func (p *tab) consoleLines() []consoleLine {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return slices.Clone(p.c.console[p.firstLine:])
}

// requests returns the requests of a kind that the page and its frames have made. If kind
// is empty, it returns all of them.
func (p *tab) requests(kind string) []seenRequest {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	var some []seenRequest
	for _, r := range p.c.seen[p.firstRequest:] {
		if kind == "" || r.kind == kind {
			some = append(some, r)
		}
	}
	return some
}

// value returns the value of a JavaScript expression in the page.
func (p *tab) value(expression string) (any, error) {
	result, err := p.c.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "userGesture": true})
	if err != nil {
		return nil, err
	}
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	if err := json.Unmarshal(result, &got); err != nil {
		return nil, err
	}
	if got.ExceptionDetails != nil {
		return nil, fmt.Errorf("%s: %s", expression, got.ExceptionDetails.Exception.Description)
	}
	return got.Result.Value, nil
}

// eval returns the value of an expression in a loaded page.
func (p *tab) eval(t *testing.T, expression string) any {
	t.Helper()
	v, err := p.value(expression)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wait waits until an expression is true in the page. The page may still be loading.
func (p *tab) wait(t *testing.T, expression string) {
	t.Helper()
	for end := time.Now().Add(processTimeout); ; time.Sleep(20 * time.Millisecond) {
		v, err := p.value(expression)
		if v == true {
			return
		}
		if time.Now().After(end) {
			page, _ := p.value("document.documentElement.outerHTML")
			t.Fatalf("timed out: %s (%v, %v)\nthe page:\n%v", expression, v, err, page)
		}
	}
}
