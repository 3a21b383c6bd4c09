package service

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Response is the response to a call.
type Response struct {
	Status  int
	Body    []byte
	Problem string // why the sandbox rejected the call, for the log. Empty: it did not
}

// JSON returns a response with v as JSON. It panics if v cannot be marshaled.
func JSON(status int, v any) *Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // all callers pass strings and numbers
	}
	return &Response{Status: status, Body: body}
}

// Lifetime returns a lifetime in seconds for JSON: as a number or, as in the older API,
// as a string.
func Lifetime(d time.Duration, asString bool) any {
	if asString {
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
	}
	return int64(d / time.Second)
}

// Garbage is a body that is not JSON.
const Garbage = "<!DOCTYPE html><title>Service</title>\x00\xff{"

// wait waits for d. It returns false if the client disconnects first.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// responsePlan is a response with the fault that changes how it is sent.
type responsePlan struct {
	*Response
	fault  Fault                            // the zero value: none
	finish func(status int, problem string) // called before the last byte is sent
}

// send sends the response.
func (p responsePlan) send(w http.ResponseWriter, r *http.Request) {
	f := p.fault
	if f.Reset != "" {
		p.finish(0, p.Problem)
		resetConnection(w)
		return
	}
	h := w.Header()
	if len(p.Body) > 0 {
		h.Set("Content-Type", "application/json")
	}
	if f.Redirect != "" {
		h.Set("Location", f.Redirect)
	}
	if f.Garbage {
		h.Set("Content-Type", "text/html")
	}
	for name, values := range f.Headers {
		h[http.CanonicalHeaderKey(name)] = values
	}
	switch {
	case f.Truncate > 0 && len(p.Body) > 0:
		p.sendTruncated(w)
	case f.Size != 0 || f.Drip != 0 || f.Gzip:
		p.sendSlowly(w, r)
	default:
		p.finish(p.Status, p.Problem)
		if p.Status != http.StatusNoContent && p.Status != http.StatusNotModified {
			h.Set("Content-Length", strconv.Itoa(len(p.Body)))
		}
		w.WriteHeader(p.Status)
		_, _ = w.Write(p.Body) // an error means that the client has disconnected
	}
}

// sendTruncated sends less than Content-Length says.
func (p responsePlan) sendTruncated(w http.ResponseWriter) {
	p.finish(p.Status, p.Problem)
	w.Header().Set("Content-Length", strconv.Itoa(len(p.Body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.Body[:min(p.fault.Truncate, len(p.Body)-1)])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // closes the connection
}

// sendSlowly sends a body that is padded, compressed or sent byte by byte. It does not
// buffer the body, which may be endless.
func (p responsePlan) sendSlowly(w http.ResponseWriter, r *http.Request) {
	defer p.finish(p.Status, p.Problem)
	f := p.fault
	var out io.Writer = w
	if f.Gzip {
		w.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(w)
		defer compressed.Close()
		out = compressed
	}
	w.WriteHeader(p.Status)
	source := io.MultiReader(bytes.NewReader(p.Body), &filler{left: f.Size - int64(len(p.Body)), endless: f.Size < 0})
	chunk := make([]byte, 32<<10)
	if f.Drip > 0 {
		chunk = chunk[:1]
	}
	flush := http.NewResponseController(w)
	for {
		n, err := source.Read(chunk)
		if n > 0 {
			if !wait(r, f.Drip) {
				return
			}
			if _, err := out.Write(chunk[:n]); err != nil {
				return
			}
			if f.Drip > 0 {
				_ = flush.Flush()
			}
		}
		if err != nil {
			return
		}
	}
}

// filler is an io.Reader of spaces, which JSON allows after a value.
type filler struct {
	left    int64
	endless bool
}

// Read implements io.Reader.
func (f *filler) Read(b []byte) (int, error) {
	if !f.endless {
		if f.left <= 0 {
			return 0, io.EOF
		}
		b = b[:min(int64(len(b)), f.left)]
		f.left -= int64(len(b))
	}
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// resetConnection closes the connection with a TCP RST. If it cannot be hijacked, as with
// HTTP/2, the server resets the stream.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	// Unwrap the TCP connection, since TLS would send close_notify first.
	raw := conn
	for {
		wrapped, ok := raw.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		raw = wrapped.NetConn()
	}
	if socket, ok := raw.(interface{ SetLinger(int) error }); ok {
		_ = socket.SetLinger(0) // unsent data is discarded, and the peer gets an RST
	}
	_ = raw.Close()
	_ = conn.Close() // updates the state of the wrappers
}
