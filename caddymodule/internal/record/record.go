// Package record watches the calls that a client makes, for somebody who looks
// for what is wrong with them. It changes nothing about a call. What it keeps can
// be shown: secrets, tokens and personal data are masked as soon as they are
// seen, and so is whatever it does not know.
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

// maxBody is how much of a body is looked at, in bytes: as much as the clients
// read of an answer.
const maxBody = 64 << 10

// Recorder notes calls. The zero value is ready for use, by any number of
// goroutines.
type Recorder struct {
	mu    sync.Mutex
	calls []*Call
}

// Call is one attempt at a call.
type Call struct {
	Method  string
	URL     string // without user, query and fragment
	Proxy   string // host:port of the proxy that it goes through; empty: none
	Request Message

	Status   int // HTTP status; 0: there was no answer
	Response Message
	Err      error // why there is no answer, or no whole one; safe to print

	Started time.Time
	Took    time.Duration // until the answer was read

	Network Network
}

// Message is what was sent or answered, masked.
type Message struct {
	Header []Field // sorted by name
	Body   string  // JSON; empty if there was none, and in parentheses what is no JSON
}

// Field is one line of a header.
type Field struct{ Name, Value string }

// Watch returns a transport that makes calls by next, and notes them.
func (r *Recorder) Watch(next http.RoundTripper) http.RoundTripper {
	return &recordingTransport{next, r}
}

// Calls returns the calls so far, in the order in which they began.
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

// note changes a call that somebody may be reading.
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
	c.Request = Message{maskHeader(req.Header, requestHeader), maskBody(body, requestMembers)}
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
	if resp.StatusCode >= http.StatusOK { // below it is the bare connection
		resp.Body = &recordedBody{ReadCloser: resp.Body, recorder: w.Recorder, call: c}
	}
	return resp, nil
}

// fail notes why there is no answer, or no whole one.
func (c *Call) fail(err error) {
	c.Err = neterror.Plain("the service", c.Network.Connected != "", err)
	c.Network.Failure = err
}

// proxyOf is the proxy that a transport takes for a request.
func proxyOf(transport http.RoundTripper, req *http.Request) string {
	t, ok := transport.(*http.Transport)
	if !ok || t.Proxy == nil {
		return ""
	}
	proxy, err := t.Proxy(req)
	if err != nil || proxy == nil {
		return "" // the transport will say what is wrong with it
	}
	return proxy.Host
}

// copied returns the request with a body of its own, and what that is. What can
// be sent again stays so, and what cannot does not become so.
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

// recordedBody is a body that is noted as it is read.
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
