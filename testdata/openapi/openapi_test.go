package openapi

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// attempt is one request for a documented response.
type attempt struct {
	op       *operation
	response documented
	example  example // zero if the response has no body
	call     call
}

// name returns the name of the subtest.
func (a *attempt) name() string {
	return a.op.id + "/" + http.StatusText(a.response.status) + "/" + a.example.name
}

// attempts returns an attempt for each example of each response of each operation, and
// those of moreCalls, sorted by config.
func attempts(t *testing.T, operations []*operation) (all []attempt) {
	t.Helper()
	unused := make(map[string]bool)
	for name := range maps.Keys(tokenCalls) {
		unused[name] = true
	}
	for name := range maps.Keys(adminCalls) {
		unused[name] = true
	}
	find := func(op *operation, name string) (call, bool) {
		calls := tokenCalls
		if op.isAdmin() {
			calls = adminCalls
		}
		for _, key := range []string{op.id + " " + name, name} {
			if k, ok := calls[key]; ok {
				delete(unused, key)
				return k, true
			}
		}
		return call{}, false
	}
	for _, op := range operations {
		for _, r := range op.responses {
			examples := r.examples
			if examples == nil {
				examples = []example{{}}
			}
			for _, e := range examples {
				k, ok := find(op, cmp.Or(e.name, r.name))
				if !ok {
					t.Errorf("%s: no call provokes the response %s, example %q", op.id, r.name, e.name)
					continue
				}
				all = append(all, attempt{op, r, e, k})
			}
			for _, more := range moreCalls {
				for _, e := range examples {
					if more.operation == op.id && (more.example == e.name || more.example == r.name) {
						all = append(all, attempt{op, r, e, more.call})
					}
				}
			}
		}
	}
	for name := range unused {
		t.Errorf("the document has no response for the call %s", name)
	}
	order := []string{configSites, configSmall, configRedis, configNoHuma}
	for i := range all {
		if a := &all[i]; a.call.config == "" {
			a.call.config = configSites
			if a.op.isAdmin() {
				a.call.config = configSmall
			}
		}
	}
	slices.SortStableFunc(all, func(a, b attempt) int {
		return slices.Index(order, a.call.config) - slices.Index(order, b.call.config)
	})
	return all
}

// TestDocument provokes each documented response of each operation, validates the request
// and the response, and compares the response with its example.
func TestDocument(t *testing.T) {
	d := readDocument(t)
	operations := d.operations(t)
	c := startCaddy(t, configSites)
	seen := make(map[string]map[string]bool) // the headers of each response of each operation
	codes := make(map[string]bool)
	for _, a := range attempts(t, operations) {
		t.Run(a.name(), func(t *testing.T) {
			c.load(t, a.call.config)
			got := d.check(t, c, &a)
			key := a.op.id + " " + http.StatusText(a.response.status)
			if seen[key] == nil {
				seen[key] = make(map[string]bool)
			}
			for name := range got.header {
				seen[key][name] = true
			}
			if !a.op.isAdmin() && a.response.status >= 400 {
				codes[a.example.code] = true
			}
		})
	}
	for _, op := range operations {
		for _, r := range op.responses {
			for _, header := range r.headers {
				if !seen[op.id+" "+http.StatusText(r.status)][header] {
					t.Errorf("%s: no response with the status %d had the header %s", op.id, r.status, header)
				}
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(codes)), d.codes(t); !slices.Equal(got, want) {
		t.Errorf("responses had the codes %v, want %v", got, want)
	}
}

// check sends the request of an attempt, and checks it and its response.
func (d *document) check(t *testing.T, c *caddy, a *attempt) response {
	t.Helper()
	k := a.call
	if a.op.method == http.MethodHead { // another method has the same response, with its body
		k.method = http.MethodGet
		if !a.op.isAdmin() {
			k.method = http.MethodPut
		}
	}
	req, got := c.send(t, a.op, &k, a.response.status)
	if got.status != a.response.status {
		t.Fatalf("%d %s, want %d", got.status, got.body, a.response.status)
	}
	if a.example.name != "" {
		d.compare(t, a.example.name, c.withoutPorts(got.body))
	}
	if a.op.method == http.MethodHead {
		k.method = ""
		req, got = c.send(t, a.op, &k, a.response.status)
		if got.status != a.response.status || got.body != "" {
			t.Fatalf("HEAD: %d %q, want %d without a body", got.status, got.body, a.response.status)
		}
	}
	d.validate(t, &k, req, got)
	return got
}

// validate validates a request and its response against the document.
func (d *document) validate(t *testing.T, k *call, req *http.Request, got response) {
	t.Helper()
	req.Body = io.NopCloser(strings.NewReader(k.body))
	if k.body == "" {
		req.Body = http.NoBody
	}
	switch ok, errs := d.requests.ValidateHttpRequestSync(req); {
	case !ok && !k.invalid:
		t.Error("the document does not allow the request: " + join(errs))
	case ok && k.invalid:
		t.Error("the document allows the request")
	}
	res := &http.Response{StatusCode: got.status, Header: got.header, Request: req, Body: io.NopCloser(bytes.NewBufferString(got.body))}
	if ok, errs := d.responses.ValidateHttpResponse(req, res); !ok {
		t.Errorf("invalid response: %s\n%d %v %s", join(errs), got.status, got.header, got.body)
	}
}

// TestMethods checks that methods which the document does not have are rejected, and that
// the header Allow has those that it has.
func TestMethods(t *testing.T) {
	d := readDocument(t)
	c := startCaddy(t, configSites)
	methods := make(map[string][]string) // by path
	byPath := make(map[string]*operation)
	for _, op := range d.operations(t) {
		byPath[op.path] = op
		if op.responses[0].status != http.StatusMethodNotAllowed {
			methods[op.path] = append(methods[op.path], op.method)
		}
	}
	for path, allowed := range methods {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} {
			if slices.Contains(allowed, method) {
				continue
			}
			r := c.do(t, c.build(t, byPath[path], &call{method: method}))
			got := strings.Split(r.header.Get("Allow"), ", ")
			slices.Sort(got)
			slices.Sort(allowed)
			if r.status != http.StatusMethodNotAllowed || !slices.Equal(got, allowed) {
				t.Errorf("%s %s: %d with Allow %v, want 405 with %v", method, path, r.status, got, allowed)
			}
		}
	}
}
