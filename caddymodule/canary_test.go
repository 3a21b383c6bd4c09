package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// canaries holds values that no log line of this plugin may contain: tokens and IDs of
// responses, and names of requests. The log of every site is checked at the end of its
// test, at level DEBUG.
type canaries struct {
	mu    sync.Mutex
	words map[string]bool // from responses
	names map[string]bool // from requests
}

func newCanaries() *canaries {
	return &canaries{words: make(map[string]bool), names: make(map[string]bool)}
}

// secrets lists texts that no line may contain for any user: the credentials, the key and
// the password of the store, and the markers in messages of other servers.
var secrets = []string{"sandbox-secret", redisKey, redisPassword, "CANARY", "canary"}

// addressPattern matches email addresses.
var addressPattern = regexp.MustCompile(`[^\s"]+(@|%40)[\w.-]+`)

// tokenWords returns the parts of a text that may be tokens or IDs.
func tokenWords(text string) []string {
	parts := strings.FieldsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("._~-", r)
	})
	return slices.DeleteFunc(parts, func(word string) bool { return len(word) < 12 })
}

// note records the values of a request and its response.
func (c *canaries) note(r *http.Request, a *response) {
	var members map[string]any
	if a.StatusCode == http.StatusOK && json.Unmarshal(a.Body, &members) != nil {
		members = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range members {
		if text, ok := v.(string); ok && slices.Equal(tokenWords(text), []string{text}) {
			c.words[text] = true
		}
	}
	for _, name := range r.Header["X-Test-Name"] {
		if len(name) > 4 {
			c.names[name] = true
		}
	}
}

// isOurs reports whether a log line is from a logger of this plugin, or from the logger of
// Caddy's events app, which logs the events of this plugin.
func isOurs(line string) bool {
	_, logger, _ := strings.Cut(line, `"logger":"`)
	return strings.HasPrefix(logger, "http.handlers.huma") || strings.HasPrefix(logger, "huma") || strings.HasPrefix(logger, "events")
}

// findLeak returns the forbidden value in a log line of this plugin. It returns "" if
// there is none, or if the line is from another logger.
func (c *canaries) findLeak(line string) string {
	if !isOurs(line) {
		return ""
	}
	var entry map[string]any
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return "no JSON"
	}
	delete(entry, "stack") // the stack of a panic has the versions of modules after an @
	b, err := json.Marshal(entry)
	if err != nil {
		return err.Error()
	}
	text := strings.ReplaceAll(string(b), "(name@domain,", "")
	if strings.Contains(text, "@") || strings.Contains(text, "%40") { // the pattern is slow
		if a := addressPattern.FindString(text); a != "" {
			return a
		}
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
	for _, w := range tokenWords(text) {
		if c.words[w] {
			return w
		}
	}
	return ""
}

// check fails if a log line of this plugin contains a forbidden value.
func (c *canaries) check(t testing.TB, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if leak := c.findLeak(line); leak != "" {
			t.Errorf("a log line of this plugin contains %q: %s", leak, line)
			return
		}
	}
}

// TestCanaries checks that findLeak detects the forbidden values.
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
