package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// tab is a page in a profile of its own.
type tab struct {
	c       *chromium
	session string
	from    int // the requests and the noise before it
	noise   int
}

// open opens an address and closes it with the test. No other tab is used
// meanwhile.
func (c *chromium) open(t *testing.T, address string) *tab {
	t.Helper()
	must := func(session, method string, params, to any) {
		t.Helper()
		result, err := c.ask(session, method, params)
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
		_, err := c.ask("", "Target.disposeBrowserContext", map[string]any{"browserContextId": got.BrowserContextID})
		if err != nil {
			t.Error(err)
		}
	})
	must("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": got.BrowserContextID}, &got)
	must("", "Target.attachToTarget", map[string]any{"targetId": got.TargetID, "flatten": true}, &got)
	c.mu.Lock()
	p := &tab{c: c, session: got.SessionID, from: len(c.seen), noise: len(c.noise)}
	c.mu.Unlock()
	t.Cleanup(func() {
		if t.Failed() {
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Logf("the page's console:\n%s", strings.Join(c.noise[p.noise:], "\n"))
		}
	})
	must(p.session, "Runtime.enable", map[string]any{}, nil)
	must(p.session, "Log.enable", map[string]any{}, nil)
	must(p.session, "Page.enable", map[string]any{}, nil)
	// What the page's policy forbids, from the first script on.
	must(p.session, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `
		window.violations = [];
		addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
	`}, nil)
	must(p.session, "Page.navigate", map[string]any{"url": address}, nil)
	return p
}

// reload loads the page again, past all caches if it is forced: as with the
// shift key held.
func (p *tab) reload(t *testing.T, forced bool) {
	t.Helper()
	p.eval(t, "window.reloaded = false")
	if _, err := p.c.ask(p.session, "Page.reload", map[string]any{"ignoreCache": forced}); err != nil {
		t.Fatal(err)
	}
	p.wait(t, "window.reloaded === undefined")
}

// requests are those of a kind that the page and its frames have made; of all
// kinds if it is empty.
func (p *tab) requests(kind string) []seenRequest {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	var some []seenRequest
	for _, r := range p.c.seen[p.from:] {
		if kind == "" || r.kind == kind {
			some = append(some, r)
		}
	}
	return some
}

// value is that of an expression of JavaScript in the page.
func (p *tab) value(expression string) (any, error) {
	result, err := p.c.ask(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "userGesture": true})
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

// eval returns the value of an expression in a page that is there.
func (p *tab) eval(t *testing.T, expression string) any {
	t.Helper()
	v, err := p.value(expression)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wait waits until an expression is true in the page, which may not be there
// yet.
func (p *tab) wait(t *testing.T, expression string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		v, err := p.value(expression)
		if v == true {
			return
		}
		if time.Now().After(end) {
			page, _ := p.value("document.documentElement.outerHTML")
			t.Fatalf("never true: %s (%v, %v)\nthe page:\n%v", expression, v, err, page)
		}
	}
}
