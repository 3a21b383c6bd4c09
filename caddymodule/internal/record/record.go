// Package record records the calls of a client for diagnosis, without changing them.
// The recorded calls are safe to show: secrets, tokens, personal data and all unknown
// values are masked when they are recorded.
package record

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
)

// maxBody is the maximum length of a recorded body in bytes. The clients read the same
// length of a response.
const maxBody = 64 << 10

// Recorder records calls. The zero value is ready to use. It is safe for concurrent
// use.
type Recorder struct {
	mu    sync.Mutex
	calls []*Call
}

// Call is one attempt at a call.
type Call struct {
	Method  string
	URL     string // without user, query and fragment
	Proxy   string // host:port of the proxy; empty: none
	Request Message

	Status   int // HTTP status; 0: no response
	Response Message
	Err      error // why there is no complete response; safe to print

	Started time.Time
	Took    time.Duration // until the response was read

	Network Network
}

// Message is a request or a response, masked.
type Message struct {
	Header []Field // sorted by name
	Body   string  // JSON; empty: no body; in parentheses: why it is not shown
}

// Field is one line of a header.
type Field struct{ Name, Value string }

// Watch returns a transport that sends requests with next and records them.
func (r *Recorder) Watch(next http.RoundTripper) http.RoundTripper {
	return &recordingTransport{next, r}
}

// Calls returns a copy of the calls so far, in the order of their start.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	var calls []Call
	for _, c := range r.calls {
		copied := *c
		copied.Network.Addresses = slices.Clone(c.Network.Addresses)
		calls = append(calls, copied)
	}
	return calls
}

// note runs change while holding the lock, because Calls may run concurrently.
func (r *Recorder) note(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

type recordingTransport struct {
	next http.RoundTripper
	*Recorder
}

// RoundTrip implements http.RoundTripper.
func (w *recordingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	c := &Call{
		Method: req.Method,
		URL:    (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawPath: req.URL.RawPath}).String(),
		Proxy:  proxyOf(w.next, req),
	}
	c.Network.Host = req.URL.Hostname()
	sent, body, err := copied(req)
	if err != nil {
		return nil, err
	}
	c.Request = Message{maskHeader(req.Header, requestHeader), maskBody(body, requestMembers(body))}
	c.Started = time.Now()
	w.note(func() { w.calls = append(w.calls, c) })

	resp, err := w.next.RoundTrip(sent.WithContext(httptrace.WithClientTrace(req.Context(), w.trace(c))))
	w.note(func() {
		c.Took = time.Since(c.Started)
		if err != nil {
			c.fail(err)
			return
		}
		c.Status = resp.StatusCode
		c.Response.Header = maskHeader(resp.Header, responseHeader)
		c.Network.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusOK { // 101: the body is the raw connection
		resp.Body = &recordedBody{ReadCloser: resp.Body, recorder: w.Recorder, call: c}
	}
	return resp, nil
}

// fail records why there is no complete response. Call it within Recorder.note.
func (c *Call) fail(err error) {
	c.Err = neterror.Plain("the service", c.Network.Connected != "", err)
	c.Network.Failure = err
}

// proxyOf returns the proxy that transport uses for a request, as host:port. It returns
// "" if there is none or it is not known.
func proxyOf(transport http.RoundTripper, req *http.Request) string {
	t, ok := transport.(*http.Transport)
	if !ok || t.Proxy == nil {
		return ""
	}
	proxy, err := t.Proxy(req)
	if err != nil || proxy == nil {
		return "" // RoundTrip returns the error
	}
	return proxy.Host
}

// copied returns the request with a new body, and the content of that body. GetBody is
// unchanged, so whether the transport can retry the request does not change.
func copied(req *http.Request) (*http.Request, []byte, error) {
	if req.Body == nil {
		return req, nil, nil
	}
	body, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	sent := *req
	sent.Body = io.NopCloser(bytes.NewReader(body))
	return &sent, body, nil
}

// recordedBody records a response body while the client reads it.
type recordedBody struct {
	io.ReadCloser
	recorder *Recorder
	call     *Call
	seen     []byte
	failed   error
}

// Read implements io.Reader.
func (a *recordedBody) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	a.seen = append(a.seen, b[:min(n, maxBody+1-len(a.seen))]...)
	if err != nil && err != io.EOF {
		a.failed = err
	}
	return n, err
}

// Close implements io.Closer.
func (a *recordedBody) Close() error {
	a.recorder.note(func() {
		a.call.Took = time.Since(a.call.Started)
		a.call.Response.Body = maskBody(a.seen, responseMembers)
		if a.failed != nil {
			a.call.fail(a.failed)
		}
	})
	return a.ReadCloser.Close()
}
