package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// canaries are what has passed through a site that no log line of ours may
// hold: tokens and ids that were answered, names that were sent. Every site of
// these tests is looked at when it ends, at level DEBUG.
type canaries struct {
	mu    sync.Mutex
	words map[string]bool // from answers
	names map[string]bool // from requests
}

func newCanaries() *canaries {
	return &canaries{words: make(map[string]bool), names: make(map[string]bool)}
}

// secrets is what no line may hold whoever the user is: our credentials, the
// key and the password of the store, and marks in what others say.
var secrets = []string{"sandbox-secret", redisKey, redisPassword, "CANARY", "canary"}

// addressPattern is what looks like one, but for how our own words say what one is.
var addressPattern = regexp.MustCompile(`[^\s"]+(@|%40)[\w.-]+`)

// tokenPattern is what tokens and ids are made of.
var tokenPattern = regexp.MustCompile(`[A-Za-z0-9._~-]{12,}`)

// note notes what a request and its answer hold.
func (c *canaries) note(r *http.Request, a *response) {
	var members map[string]any
	if a.StatusCode == http.StatusOK && json.Unmarshal(a.Body, &members) != nil {
		members = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range members {
		if text, ok := v.(string); ok && tokenPattern.FindString(text) == text {
			c.words[text] = true
		}
	}
	for _, name := range r.Header["X-Test-Name"] {
		if len(name) > 4 {
			c.names[name] = true
		}
	}
}

// ourLoggers are the loggers of this plugin, and that of the app which tells of our
// events.
var ourLoggers = regexp.MustCompile(`"logger":"(http\.handlers\.huma|huma|events)[^"]*"`)

// findLeak is what a log line of ours holds that it may not; empty if nothing, or if
// the line is somebody else's.
func (c *canaries) findLeak(line string) string {
	if !ourLoggers.MatchString(line) {
		return ""
	}
	var entry map[string]any
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return "no JSON"
	}
	delete(entry, "stack") // of a panic: it has the versions of modules behind an @
	b, err := json.Marshal(entry)
	if err != nil {
		return err.Error()
	}
	text := strings.ReplaceAll(string(b), "(name@domain,", "")
	if a := addressPattern.FindString(text); a != "" {
		return a
	}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			return s
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.names {
		if strings.Contains(text, name) {
			return name
		}
	}
	for _, w := range tokenPattern.FindAllString(text, -1) {
		if c.words[w] {
			return w
		}
	}
	return ""
}

// check fails if any line of ours in a log holds what it may not.
func (c *canaries) check(t testing.TB, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if leak := c.findLeak(line); leak != "" {
			t.Errorf("a log line of ours holds %q: %s", leak, line)
			return
		}
	}
}

// TestCanaries: the look at every site's log finds what it is for.
func TestCanaries(t *testing.T) {
	c := newCanaries()
	r := &http.Request{Header: http.Header{"X-Test-Name": {"Ada Lovelace"}}}
	c.note(r, &response{&http.Response{StatusCode: http.StatusOK}, []byte(`{"uid":"0123456789abcdef","authToken":"aaa.bbb-ccc.ddd","expiresIn":3}`)})
	for line, leak := range map[string]string{
		`{"logger":"http.handlers.huma_token","msg":"x a@x.example"}`:                        "a@x.example",
		`{"logger":"http.handlers.human_api_token","msg":"of aaa.bbb-ccc.ddd."}`:             "", // another word
		`{"logger":"http.handlers.human_api_token","msg":"of aaa.bbb-ccc.ddd, or"}`:          "aaa.bbb-ccc.ddd",
		`{"logger":"huma.redis","error":"0123456789abcdef"}`:                                 "0123456789abcdef",
		`{"logger":"human_api","error":"for Ada Lovelace"}`:                                  "Ada Lovelace",
		`{"logger":"events","data":{"user":"a%40x"}}`:                                        "a%40x",
		`{"logger":"huma","error":"sandbox-secret"}`:                                         "sandbox-secret",
		`{"logger":"http.log.access","error":"sandbox-secret"}`:                              "",
		`{"logger":"http.handlers.huma_token","error":"one (name@domain, not x)"}`:           "",
		`{"logger":"huma.redis","error":"on @user_script:2"}`:                                "",
		`{"logger":"huma","stack":"caddy/v2@v2.11.9/x.go"}`:                                  "",
		`{"logger":"http.handlers.huma_token","user":"01234567","msg":"token issued","n":1}`: "",
	} {
		if got := c.findLeak(line); got != leak {
			t.Errorf("%s: %q, want %q", line, got, leak)
		}
	}
}
