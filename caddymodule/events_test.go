package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func init() { caddy.RegisterModule(listener{}) }

// receivedEvents holds the events that listeners have received. If then is not nil,
// listeners call it for each event.
var receivedEvents struct {
	sync.Mutex
	events []string
	then   func(listener)
}

// listener is an event handler for the configs of these tests.
type listener struct {
	Config string `json:"config"` // the name of the config
}

// CaddyModule returns the Caddy module information.
func (listener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test_listener", New: func() caddy.Module { return new(listener) }}
}

// Handle implements caddyevents.Handler.
func (l *listener) Handle(_ context.Context, e caddy.Event) error {
	if !strings.HasPrefix(e.Name(), "huma_") {
		return nil
	}
	data, err := json.Marshal(e.Data)
	receivedEvents.Lock()
	defer receivedEvents.Unlock()
	receivedEvents.events = append(receivedEvents.events, fmt.Sprint(l.Config, " ", e.Name(), " ", string(data), " ", e.Origin().CaddyModule().ID))
	if receivedEvents.then != nil {
		receivedEvents.then(*l)
	}
	return err
}

var _ caddyevents.Handler = (*listener)(nil)

// listen loads a config with a listener of the given name.
func (s *site) listen(name, text string) {
	s.t.Helper()
	must(s.t, loadConfig(editConfig(s, text, func(config map[string]any) {
		config["apps"].(map[string]any)["events"] = map[string]any{"subscriptions": []any{
			map[string]any{"handlers": []any{map[string]any{"handler": "test_listener", "config": name}}},
		}}
	})))
	s.loaded = time.Now()
	s.client.CloseIdleConnections()
}

// recordEvents starts to record events.
func recordEvents(t *testing.T, then func(listener)) {
	t.Helper()
	receivedEvents.Lock()
	receivedEvents.events, receivedEvents.then = nil, then
	receivedEvents.Unlock()
	t.Cleanup(func() {
		receivedEvents.Lock()
		receivedEvents.then = nil
		receivedEvents.Unlock()
	})
}

// waitEvents waits for n events and returns them.
func waitEvents(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	eventually(t, 10*time.Second, fmt.Sprint(n, " events"), func() bool {
		receivedEvents.Lock()
		defer receivedEvents.Unlock()
		got = slices.Clone(receivedEvents.events)
		return len(got) >= n
	})
	return got
}

// TestEvents checks the events of a sign-up and of the breaker. They come from the
// running config and contain no personal data.
func TestEvents(t *testing.T) {
	recordEvents(t, nil)
	fake := newHuma(t, sandbox.Config{Users: []string{"known@x.example"}})
	config := simpleSite(fake, "hash_key 0123456789abcdef\nbreaker {\nfailures 3\nopen 100ms\n}\nretries 0")
	s := serve(t, config)
	s.listen("first", config)
	s.request("GET", iosPath, as("known@x.example")).tokens(t) // sends no event
	s.request("GET", iosPath, as("new@x.example"), header("X-Test-Name", "Ada")).tokens(t)
	s.request("GET", iosPath, as("new@x.example")).tokens(t) // neither does a cache hit
	waitEvents(t, 1)
	// The event is also sent if the response to a sign-up has no token.
	must(t, fake.SetFaults([]sandbox.Fault{{Op: sandbox.OpSignUp, Status: 201, Body: "{}", Processed: true}, {Op: sandbox.OpSignIn, Status: 403}}))
	s.request("GET", iosPath, as("created@x.example"))
	waitEvents(t, 2)
	must(t, fake.SetFaults(nil))

	s.listen("second", config)
	if err := fake.SetFaults([]sandbox.Fault{{Status: 503}}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.request("GET", iosPath, as(fmt.Sprintf("u%d@x.example", i)))
	}
	waitEvents(t, 3)
	if err := fake.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the service is called again", func() bool {
		return s.request("GET", iosPath, as("known2@x.example")).StatusCode == 200
	})
	got := waitEvents(t, 5)
	slices.Sort(got)
	for i, want := range []string{
		`first huma_registered {"provider":"huma","user":"`, `first huma_registered {"provider":"huma","user":"`,
		`second huma_breaker_closed {"provider":"huma"} http.handlers.huma_token`,
		`second huma_breaker_opened {"provider":"huma"} http.handlers.huma_token`, `second huma_registered {"provider":"huma","user":"`,
	} {
		if !strings.HasPrefix(got[i], want) || len(got) != 5 {
			t.Errorf("event %d of %d is %q, want %q", i, len(got), got[i], want)
		}
	}
	if s.noSecretsInLog("new@x.example", "known2@x.example", "Ada"); strings.Contains(fmt.Sprint(got), "x.example") {
		t.Errorf("the events contain the user: %q", got)
	}
}

// TestEventsOfAStoppedConfig checks that an exchange that ends after its config was
// stopped sends no event to that config.
func TestEventsOfAStoppedConfig(t *testing.T) {
	recordEvents(t, nil)
	fake := newHuma(t, sandbox.Config{})
	release := fake.block(t, sandbox.OpSignUp)
	config := simpleSite(fake, "")
	s := serve(t, config)
	s.listen("old", config)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		fake.waitBlocked(t, 1)
		cancel() // a server waits for its requests
	}()
	for ctx.Err() == nil { // Caddy may lose a connection after a reload
		_, _ = s.tryRequest(ctx, "GET", iosPath, as("a@x.example"))
	}
	s.listen("new", config)
	release()
	eventually(t, 10*time.Second, "the user has a token", func() bool {
		return s.request("GET", iosPath, as("a@x.example")).StatusCode == 200
	})
	s.request("GET", iosPath, as("b@x.example")).tokens(t)
	if got := waitEvents(t, 1); len(got) != 1 || !strings.HasPrefix(got[0], "new ") {
		t.Errorf("received %q", got)
	}
}

// TestEventsOfSlowListeners checks that requests neither wait for a slow listener nor
// fail if a listener panics.
func TestEventsOfSlowListeners(t *testing.T) {
	hold := make(chan struct{})
	recordEvents(t, func(l listener) {
		switch l.Config {
		case "slow":
			<-hold
		case "panics":
			panic("CANARY")
		}
	})
	fake := newHuma(t, sandbox.Config{})
	config := simpleSite(fake, "")
	s := serve(t, config)
	s.listen("slow", config)
	for i := range 120 { // more than the queue holds
		s.request("GET", iosPath, as(fmt.Sprintf("u%d@x.example", i))).tokens(t)
	}
	eventually(t, 5*time.Second, "dropped events are logged", func() bool { return len(s.logLines("event dropped")) > 0 })
	close(hold)
	waitEvents(t, 100)
	s.listen("panics", config)
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	eventually(t, 5*time.Second, "the panic is logged", func() bool { return len(s.logLines("event handler panicked")) > 0 })
	s.request("GET", iosPath, as("b@x.example")).tokens(t)
	s.noSecretsInLog("CANARY", "@x.example")
}
