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

// Response is what a call is responded to with.
type Response struct {
	Status  int
	Body    []byte
	Problem string // why the sandbox refused, for the log
}

// JSON makes a response of a value that has a JSON form.
func JSON(status int, v any) *Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // made of strings and numbers here
	}
	return &Response{Status: status, Body: body}
}

// Lifetime writes a lifetime in seconds, as a number or, as the older service
// did, as a string.
func Lifetime(d time.Duration, asString bool) any {
	if asString {
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
	}
	return int64(d / time.Second)
}

// Garbage is not JSON in any way.
const Garbage = "<!DOCTYPE html><title>Service</title>\x00\xff{"

// wait waits, and is false if the client leaves first.
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

// responsePlan sends a response the way a fault wants it.
type responsePlan struct {
	*Response
	fault  Fault
	finish func(status int, problem string)
}

func (d responsePlan) send(w http.ResponseWriter, r *http.Request) {
	f := d.fault
	if f.Reset != "" {
		d.finish(0, d.Problem)
		resetConnection(w)
		return
	}
	h := w.Header()
	if len(d.Body) > 0 {
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
	case f.Truncate > 0 && len(d.Body) > 0:
		d.sendTruncated(w)
	case f.Size != 0 || f.Drip != 0 || f.Gzip:
		d.sendSlowly(w, r)
	default:
		d.finish(d.Status, d.Problem)
		if d.Status != http.StatusNoContent && d.Status != http.StatusNotModified {
			h.Set("Content-Length", strconv.Itoa(len(d.Body)))
		}
		w.WriteHeader(d.Status)
		_, _ = w.Write(d.Body) // the client has left, if anything
	}
}

// sendTruncated announces more than it sends.
func (d responsePlan) sendTruncated(w http.ResponseWriter) {
	d.finish(d.Status, d.Problem)
	w.Header().Set("Content-Length", strconv.Itoa(len(d.Body)))
	w.WriteHeader(d.Status)
	_, _ = w.Write(d.Body[:min(d.fault.Truncate, len(d.Body)-1)])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // net/http's way to cut a connection
}

// sendSlowly sends a body that is long, compressed or comes in drips. Nothing
// is held in memory, since the body may be without end.
func (d responsePlan) sendSlowly(w http.ResponseWriter, r *http.Request) {
	defer d.finish(d.Status, d.Problem)
	f := d.fault
	var out io.Writer = w
	if f.Gzip {
		w.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(w)
		defer compressed.Close()
		out = compressed
	}
	w.WriteHeader(d.Status)
	source := io.MultiReader(bytes.NewReader(d.Body), &filler{left: f.Size - int64(len(d.Body)), endless: f.Size < 0})
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

// filler reads as spaces, which JSON allows after a value.
type filler struct {
	left    int64
	endless bool
}

func (p *filler) Read(b []byte) (int, error) {
	if !p.endless {
		if p.left <= 0 {
			return 0, io.EOF
		}
		b = b[:min(int64(len(b)), p.left)]
		p.left -= int64(len(b))
	}
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// resetConnection ends the connection with a TCP RST. Where it cannot be taken
// over, as in HTTP/2, the server resets the stream.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	// TLS would say goodbye first: go down to the socket.
	raw := conn
	for {
		wrapped, ok := raw.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		raw = wrapped.NetConn()
	}
	if socket, ok := raw.(interface{ SetLinger(int) error }); ok {
		_ = socket.SetLinger(0) // what is unsent is dropped and the peer gets an RST
	}
	_ = raw.Close()
	_ = conn.Close() // for what the wrappers keep count of
}
