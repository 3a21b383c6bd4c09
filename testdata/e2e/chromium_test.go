package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chromium is a headless browser without network access except to loopback addresses. The
// tests control it by the DevTools protocol over a pipe, so that it does not listen on a
// port.
type chromium struct {
	in *os.File

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	err     error // why it has disconnected
	stubs   map[string][]stub
	dialogs int // how many times the browser has asked for a password
	seen    []seenRequest
	console []consoleLine
}

// stub is a response that is sent instead of a request.
type stub struct {
	status     int
	kind, body string
}

// consoleLine is a message in the console of a page: an exception, a message of a script,
// or a message of the browser, for example about a violation of the page's policy.
type consoleLine struct{ method, params string }

// seenRequest is a request that a page made.
type seenRequest struct {
	url     *url.URL
	kind    string // Document, Script, XHR, Image …
	headers map[string]string
}

// reply is a message from Chromium: a response or an event.
type reply struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// findChromium returns the browser, or "".
func findChromium() string {
	for _, name := range []string{"chromium", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// startChromium runs a browser until the test ends.
func startChromium(t *testing.T, program string) *chromium {
	t.Helper()
	home, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The browser's last process may still write to the directory.
		for end := time.Now().Add(processTimeout); os.RemoveAll(home) != nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		}
	})
	args := []string{
		"--headless=new", "--remote-debugging-pipe", "--no-first-run", "--user-data-dir=" + filepath.Join(home, "profile"),
		// Names are not resolved, no proxy is used, and the browser's own requests are
		// disabled. handlePaused checks each request again.
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-default-apps",
		"--disable-extensions", "--disable-sync", "--disable-domain-reliability", "--no-pings",
		"--disable-features=OptimizationHints,MediaRouter,DialMediaRouteProvider,Translate,NetworkTimeServiceQuerying",
		// Containers do not have these.
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-breakpad", "--log-level=3", "--password-store=basic", "--use-mock-keychain",
	}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // otherwise Chromium does not start as root
	}
	// Chromium reads its descriptor 3 and writes to 4.
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = &p.out, &p.out, []*os.File{theirIn, theirOut}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	c := &chromium{
		in: in, waiting: map[int]chan reply{}, stubs: map[string][]stub{},
	}
	heard := make(chan struct{})
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	go func() { defer close(heard); c.readMessages(out) }()
	t.Cleanup(func() {
		if err := c.send("", "Browser.close", map[string]any{}, nil); err != nil {
			t.Error(err)
		}
		select {
		case <-p.ended:
		case <-time.After(processTimeout):
		}
		p.stop(t)
		in.Close()
		out.Close()
		<-heard
		if t.Failed() {
			t.Logf("chromium wrote:\n%s", &p.out)
		}
	})
	// Every request of a page or frame is paused until handlePaused continues it.
	_, err = c.call("", "Fetch.enable", map[string]any{
		"patterns": []any{map[string]any{"urlPattern": "*"}}, "handleAuthRequests": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readMessages reads Chromium's messages, each of which ends with a zero byte.
func (c *chromium) readMessages(out *os.File) {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadBytes(0)
		if err != nil {
			c.mu.Lock()
			c.err = fmt.Errorf("chromium has exited: %w", err)
			for id, waits := range c.waiting {
				delete(c.waiting, id)
				close(waits)
			}
			c.mu.Unlock()
			return
		}
		var r reply
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &r); err != nil {
			continue
		}
		switch r.Method {
		case "":
			c.mu.Lock()
			waits := c.waiting[r.ID]
			delete(c.waiting, r.ID)
			c.mu.Unlock()
			if waits != nil {
				waits <- r
			}
		case "Fetch.requestPaused":
			c.handlePaused(r.Params)
		case "Fetch.authRequired":
			c.handleAuthRequired(r.Params)
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
			c.mu.Lock()
			c.console = append(c.console, consoleLine{r.Method, string(r.Params)})
			c.mu.Unlock()
		}
	}
}

// send sends a message. Its response is sent to waits.
func (c *chromium) send(session, method string, params any, waits chan reply) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.last++
	message := map[string]any{"id": c.last, "method": method, "params": params}
	if session != "" {
		message["sessionId"] = session
	}
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if waits != nil {
		c.waiting[c.last] = waits
	}
	_, err = c.in.Write(append(b, 0))
	return err
}

// call sends a message and waits for the response.
func (c *chromium) call(session, method string, params any) (json.RawMessage, error) {
	waits := make(chan reply, 1)
	if err := c.send(session, method, params, waits); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	select {
	case r, ok := <-waits:
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: chromium has exited", method)
		case r.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, r.Error.Message)
		}
		return r.Result, nil
	case <-time.After(processTimeout):
		return nil, errors.New(method + ": chromium does not respond")
	}
}

// handlePaused handles a paused request: it sends a stub if there is one, continues
// requests to loopback addresses, and fails all others.
func (c *chromium) handlePaused(params json.RawMessage) {
	var event struct {
		RequestID    string
		ResourceType string
		Request      struct {
			URL     string
			Headers map[string]string
		}
	}
	if err := json.Unmarshal(params, &event); err != nil {
		return
	}
	u, err := url.Parse(event.Request.URL)
	if err != nil {
		u = &url.URL{Opaque: event.Request.URL}
	}
	c.mu.Lock()
	c.seen = append(c.seen, seenRequest{u, event.ResourceType, event.Request.Headers})
	a, found := c.nextStub(u.Scheme + "://" + u.Host + u.Path)
	c.mu.Unlock()
	switch {
	case found:
		err = c.send("", "Fetch.fulfillRequest", map[string]any{
			"requestId": event.RequestID, "responseCode": a.status,
			"responseHeaders": []any{map[string]string{"name": "Content-Type", "value": a.kind}},
			"body":            base64.StdEncoding.EncodeToString([]byte(a.body)),
		}, nil)
	case u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost"):
		err = c.send("", "Fetch.continueRequest", map[string]any{"requestId": event.RequestID}, nil)
	default:
		err = c.send("", "Fetch.failRequest", map[string]any{"requestId": event.RequestID, "errorReason": "BlockedByClient"}, nil)
	}
	_ = err // the next command fails too
}

// handleAuthRequired closes the dialog that the browser opens for a site that requires
// authentication.
func (c *chromium) handleAuthRequired(params json.RawMessage) {
	var event struct{ RequestID string }
	if err := json.Unmarshal(params, &event); err != nil {
		return
	}
	c.mu.Lock()
	c.dialogs++
	c.mu.Unlock()
	_ = c.send("", "Fetch.continueWithAuth", map[string]any{
		"requestId": event.RequestID, "authChallengeResponse": map[string]any{"response": "CancelAuth"},
	}, nil)
}

// stub sets the responses to requests for an address, with any query. The last one is
// repeated.
func (c *chromium) stub(address string, responses ...stub) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stubs[address] = responses
}

// nextStub returns the stub for an address. The caller must hold the lock.
func (c *chromium) nextStub(address string) (stub, bool) {
	responses := c.stubs[address]
	if len(responses) == 0 {
		return stub{}, false
	}
	if len(responses) > 1 {
		c.stubs[address] = responses[1:]
	}
	return responses[0], true
}
