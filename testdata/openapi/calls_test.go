package openapi

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// call is a request that gets a documented response.
type call struct {
	config  string // of the admin API: the config; default: configSites
	host    string // default: appHost, or the admin endpoint
	session string // the kind of user; default: user; none: no cookie
	method  string // replaces the method of the operation
	query   string // default: the client type, if the operation has one
	header  map[string]string
	body    string
	faults  string // faults of the sandbox, as JSON
	invalid bool   // the document does not allow the request

	// before runs before the request. req is a copy of the request.
	before func(t *testing.T, c *caddy, req *http.Request)

	atOnce int // the number of requests that are sent at once, each for another user
}

// tokenCalls are the calls of the token endpoints, by the name of the example in the
// components of the document, or of the response, if it has no body.
var tokenCalls = map[string]call{
	"huma_token":    {},
	"session_token": {},
	"id_token":      {header: map[string]string{"Cache-Control": "no-cache"}, before: connectSource},
	"Evicted":       {},
	"Options":       {header: map[string]string{"Access-Control-Request-Method": "GET"}},

	"identity_missing":           {session: "none", invalid: true},
	"identity_ambiguous":         {session: "twice"},
	"identity_invalid":           {session: "invalid"},
	"human_api_identity_invalid": {session: "invalid"},
	"identity_untrusted":         {host: "proxy.test"},
	"email_unverified":           {session: "unverified"},
	"domain_not_allowed":         {session: "elsewhere"},
	"identity_forbidden":         {session: "forbidden"},
	"identity_unavailable":       {session: "down"},
	"cross_site":                 {header: map[string]string{"Origin": "", "Sec-Fetch-Site": "cross-site"}},

	"client_type_required": {query: "?"},
	"client_type_unknown":  {query: "?client_type=windows", invalid: true},
	"body_invalid":         {query: "?", body: "client_type: ios", header: map[string]string{"Content-Type": "text/plain"}, invalid: true},
	"method_not_allowed":   {}, // HEAD; see send
	"internal_error":       {host: "broken.test"},

	"not_registered":              {host: "closed.test"},
	"refused":                     {faults: `[{"op": "signin", "status": 403}, {"op": "signup", "status": 403}]`},
	"connect_unavailable":         {faults: `[{"op": "session", "code": "SESSION_TOKEN_GENERATION_NOT_ALLOWED"}, {"op": "id", "code": "ID_TOKEN_GENERATION_NOT_ALLOWED"}]`},
	"registration_limited":        {host: "limited.test", before: signUpAnother},
	"overloaded":                  {host: "busy.test", faults: `[{"op": "*", "delay": "500ms"}]`, atOnce: 6},
	"upstream_unavailable":        {faults: `[{"op": "*", "status": 500}]`},
	"upstream_timeout":            {host: "slow.test", faults: `[{"op": "*", "delay": "1s"}]`},
	"upstream_config":             {faults: `[{"op": "*", "status": 401}]`},
	"human_api_upstream_config":   {faults: `[{"op": "*", "status": 401}]`},
	"upstream_rejected":           {faults: `[{"op": "*", "status": 400}]`},
	"human_api_upstream_rejected": {faults: `[{"op": "*", "status": 400}]`},
	"upstream_bad_response":       {faults: `[{"op": "*", "garbage": true}]`},
}

// moreCalls are further calls with a response that has an example.
var moreCalls = []struct {
	operation, example string
	call
}{
	{"postHumaToken", "huma_token", call{query: "?", body: "client_type=web", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}},
	{"postHumaToken", "huma_token", call{query: "?", body: `{"client_type": "android"}`, header: map[string]string{"Content-Type": "application/json"}}},
	{"getHumaToken", "identity_invalid", call{host: "token.test", header: map[string]string{"Authorization": "Bearer a.b.c"}}},
	{"getHumanAPIToken", "human_api_identity_invalid", call{host: "token.test", header: map[string]string{"Authorization": "Bearer a.b.c"}}},
	{"optionsHumaToken", "Options", call{}},
}

// adminCalls are the calls of the admin API, by the name of the example, and by that of the
// operation if it does not have the same for all. Their default config is configSmall.
var adminCalls = map[string]call{
	"status":             {},
	"health_ok":          {},
	"health_degraded":    {config: configRedis},
	"health_unavailable": {config: configNoHuma},
	"host_not_allowed":   {header: map[string]string{"Host": "other.example"}},

	"flushed":                   {},
	"evicted":                   {body: `{"email": "alice@clinic.example"}`},
	"flush_with_body":           {body: `{"email": "alice@clinic.example"}`, invalid: true},
	"evict_without_user":        {body: `{"name": "alice"}`, invalid: true},
	"evict_invalid_user":        {body: `{"email": "alice"}`},
	"evict_content_type":        {body: `{"email": "alice@clinic.example"}`, header: map[string]string{"Content-Type": "text/plain"}, invalid: true},
	"evict_no_directive":        {body: `{"user_id": "user-1001"}`, config: configRedis},
	"evict_failed":              {body: `{"email": "alice@clinic.example"}`, config: configRedis},
	"flush_failed":              {config: configRedis},
	"evictUser body_too_large":  {body: `{"email": "` + strings.Repeat("a", 4<<10) + `"}`},
	"flushCache body_too_large": {body: strings.Repeat("a", 4<<10+1), invalid: true},

	"evictUser host_not_allowed": {body: `{"email": "alice@clinic.example"}`, header: map[string]string{"Host": "other.example"}},
}

// connectSource lets the user of the request connect a data source at Human API.
func connectSource(t *testing.T, c *caddy, req *http.Request) {
	t.Helper()
	// A second request for a new token would get the token of the first one.
	req.Header.Del("Cache-Control")
	if r := c.do(t, req); r.status != http.StatusOK { // creates the user
		t.Fatalf("%d %s", r.status, r.body)
	}
	c.sandbox(t, http.MethodPost, "connect", fmt.Sprintf(`{"client_user_id": "user-%d"}`, c.users))
}

// signUpAnother signs up another user, after whom no sign-up is allowed.
func signUpAnother(t *testing.T, c *caddy, req *http.Request) {
	t.Helper()
	c.setSession(req, "user")
	c.do(t, req)
}

// setSession sets the session of a new user. kind none means no session.
func (c *caddy) setSession(req *http.Request, kind string) {
	c.users++
	if kind != "none" {
		req.Header.Set("Cookie", fmt.Sprintf("%s=%s.%d", sessionCookie, kind, c.users))
		// For the sites that read these headers instead.
		req.Header.Set("X-Email", fmt.Sprintf("user-%d@clinic.example", c.users))
		req.Header.Set("X-User", fmt.Sprintf("user-%d", c.users))
	}
}

// build returns the request of a call.
func (c *caddy) build(t *testing.T, op *operation, k *call) *http.Request {
	t.Helper()
	host, query := cmp.Or(k.host, appHost), k.query
	if query == "" && op.hasClientType {
		query = "?client_type=ios"
	}
	address := "http://" + host + c.sites[strings.LastIndex(c.sites, ":"):]
	if op.isAdmin() {
		address = "http://" + c.admin
	}
	req := c.request(t, cmp.Or(k.method, op.method), address+op.path+strings.TrimSuffix(query, "?"), k.body)
	if op.isAdmin() {
		if k.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
	} else {
		c.setSession(req, cmp.Or(k.session, "user"))
		req.Header.Set("Origin", webOrigin)
	}
	for name, value := range k.header {
		switch {
		case name == "Host":
			req.Host = value
		case value == "":
			req.Header.Del(name)
		default:
			req.Header.Set(name, value)
		}
	}
	return req
}

// send sends the request of a call, and returns it with its response. Of several requests
// that are sent at once, it returns the first one with the status.
func (c *caddy) send(t *testing.T, op *operation, k *call, status int) (*http.Request, response) {
	t.Helper()
	if k.faults != "" {
		c.sandbox(t, http.MethodPut, "faults", k.faults)
		defer c.sandbox(t, http.MethodPut, "faults", "[]")
	}
	req := c.build(t, op, k)
	if k.before != nil {
		k.before(t, c, req.Clone(t.Context()))
	}
	if k.atOnce == 0 {
		return req, c.do(t, req)
	}
	requests, responses := make([]*http.Request, k.atOnce), make([]response, k.atOnce)
	var all sync.WaitGroup
	for i := range requests {
		requests[i] = c.build(t, op, k)
		all.Go(func() { responses[i] = c.do(t, requests[i]) })
	}
	all.Wait()
	for i, r := range responses {
		if r.status == status {
			return requests[i], r
		}
	}
	t.Fatalf("no response has the status %d", status)
	return nil, response{}
}
