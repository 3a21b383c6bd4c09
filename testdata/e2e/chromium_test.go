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

// chromium is a headless browser that reaches nothing but this machine. It is
// spoken to in the DevTools protocol over a pipe, so that it listens nowhere.
type chromium struct {
	in *os.File

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	lost    error // why it says nothing any more
	stubs   map[string][]stub
	people  map[string]signIn
	asked   map[string]bool // the requests that have had their answer to "who are you?"
	seen    []seenRequest
	noise   []string // what pages wrote to the console, and what they were refused
}

// stub is an answer that nobody gave.
type stub struct {
	status     int
	kind, body string
}

// signIn holds the credentials of a user.
type signIn struct{ user, password string }

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
		// The last of its processes may still write there.
		for end := time.Now().Add(patience); os.RemoveAll(home) != nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		}
	})
	args := []string{
		"--headless=new", "--remote-debugging-pipe", "--no-first-run", "--user-data-dir=" + filepath.Join(home, "profile"),
		// No name is looked up, no proxy is asked, and what a browser fetches
		// for itself stays away. Pages are held to it once more, in paused.
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-default-apps",
		"--disable-extensions", "--disable-sync", "--disable-domain-reliability", "--no-pings",
		"--disable-features=OptimizationHints,MediaRouter,DialMediaRouteProvider,Translate,NetworkTimeServiceQuerying",
		// What a container has not.
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-breakpad", "--log-level=3", "--password-store=basic", "--use-mock-keychain",
	}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // it refuses to start as root otherwise
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
		in: in, waiting: map[int]chan reply{}, stubs: map[string][]stub{}, people: map[string]signIn{}, asked: map[string]bool{},
	}
	heard := make(chan struct{})
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	go func() { defer close(heard); c.hear(out) }()
	t.Cleanup(func() {
		if err := c.say("", "Browser.close", map[string]any{}, nil); err != nil {
			t.Error(err)
		}
		select {
		case <-p.ended:
		case <-time.After(patience):
		}
		p.stop(t)
		in.Close()
		out.Close()
		<-heard
		if t.Failed() {
			t.Logf("chromium wrote:\n%s", &p.out)
		}
	})
	// Every request of every page and frame is paused until the test continues it.
	_, err = c.ask("", "Fetch.enable", map[string]any{
		"patterns": []any{map[string]any{"urlPattern": "*"}}, "handleAuthRequests": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hear takes what Chromium says: messages that each end with a zero byte.
func (c *chromium) hear(out *os.File) {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadBytes(0)
		if err != nil {
			c.mu.Lock()
			c.lost = fmt.Errorf("chromium has gone: %w", err)
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
			c.paused(r.Params)
		case "Fetch.authRequired":
			c.challenged(r.Params)
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
			c.mu.Lock()
			c.noise = append(c.noise, string(r.Params))
			c.mu.Unlock()
		}
	}
}

// say sends a message. Whoever waits for the answer gets it.
func (c *chromium) say(session, method string, params any, waits chan reply) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return c.lost
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

// ask sends a message and waits for the answer.
func (c *chromium) ask(session, method string, params any) (json.RawMessage, error) {
	waits := make(chan reply, 1)
	if err := c.say(session, method, params, waits); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	select {
	case r, ok := <-waits:
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: chromium has gone", method)
		case r.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, r.Error.Message)
		}
		return r.Result, nil
	case <-time.After(patience):
		return nil, errors.New(method + ": chromium does not answer")
	}
}

// paused decides on a request: a stub answers if there is one, to loopback it
// goes on, and everything else fails.
func (c *chromium) paused(params json.RawMessage) {
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
	a, found := c.takeStub(u.Scheme + "://" + u.Host + u.Path)
	c.mu.Unlock()
	switch {
	case found:
		err = c.say("", "Fetch.fulfillRequest", map[string]any{
			"requestId": event.RequestID, "responseCode": a.status,
			"responseHeaders": []any{map[string]string{"name": "Content-Type", "value": a.kind}},
			"body":            base64.StdEncoding.EncodeToString([]byte(a.body)),
		}, nil)
	case u.Scheme == "http" && u.Hostname() == "127.0.0.1":
		err = c.say("", "Fetch.continueRequest", map[string]any{"requestId": event.RequestID}, nil)
	default:
		err = c.say("", "Fetch.failRequest", map[string]any{"requestId": event.RequestID, "errorReason": "BlockedByClient"}, nil)
	}
	_ = err // the next command fails too
}

// challenged answers a site that asks who is there, as somebody would who is
// shown the dialog: once.
func (c *chromium) challenged(params json.RawMessage) {
	var event struct {
		RequestID     string
		AuthChallenge struct{ Origin string }
	}
	if err := json.Unmarshal(params, &event); err != nil {
		return
	}
	c.mu.Lock()
	who, found := c.people[event.AuthChallenge.Origin]
	again := c.asked[event.RequestID]
	c.asked[event.RequestID] = true
	c.mu.Unlock()
	response := map[string]any{"response": "CancelAuth"}
	if found && !again {
		response = map[string]any{"response": "ProvideCredentials", "username": who.user, "password": who.password}
	}
	_ = c.say("", "Fetch.continueWithAuth", map[string]any{"requestId": event.RequestID, "authChallengeResponse": response}, nil)
}

// signIn makes somebody known to a site that will ask.
func (c *chromium) signIn(origin, user, password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.people[origin] = signIn{user, password}
}

// stub answers requests for an address, whatever their query, with these
// answers in turn, and with the last one again and again.
func (c *chromium) stub(address string, answers ...stub) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stubs[address] = answers
}

// takeStub is called under the lock.
func (c *chromium) takeStub(address string) (stub, bool) {
	answers := c.stubs[address]
	if len(answers) == 0 {
		return stub{}, false
	}
	if len(answers) > 1 {
		c.stubs[address] = answers[1:]
	}
	return answers[0], true
}
