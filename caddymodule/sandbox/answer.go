package sandbox

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answer is what a call is answered with.
type answer struct {
	status  int
	body    []byte
	problem string // why the sandbox refused, for the log
}

// garbage is not JSON in any way.
const garbage = "<!DOCTYPE html><title>Service</title>\x00\xff{"

// perform finds the answer to a call under a fault. It is false if the client
// left meanwhile.
func (s *Server) perform(c *call, f Fault) (answer, bool) {
	f = f.spelled()
	var later answer
	if f.AppearAfter > 0 {
		// Before the delay: the account comes whatever becomes of the client.
		c.appearAt = s.state.now().Add(f.AppearAfter)
		if later = s.process(c); later.problem == "" {
			later = c.op.service.failure(http.StatusGatewayTimeout)
		}
	}
	if !wait(c.request, f.Delay) {
		return answer{}, false
	}
	switch {
	case f.Reset == ResetBefore:
		return answer{}, true
	case f.Redirect != "":
		return answer{status: http.StatusTemporaryRedirect}, true
	case f.AppearAfter > 0 && (f.Status == 0 && f.Body == "" || later.status < 500):
		return later, true
	case f.Status == 0 && f.Body == "":
		a := s.process(c)
		if f.Garbage {
			a = answer{status: http.StatusOK, body: []byte(garbage)}
		}
		return a, true
	}
	a := answer{status: c.op.success}
	if f.Processed {
		a = s.process(c)
	}
	if f.Status >= 400 {
		a.body = c.op.service.failure(f.Status).body
	}
	if f.Status != 0 {
		a.status = f.Status
	}
	if f.Body != "" {
		a.body = []byte(f.Body)
	}
	return a, true
}

// faultAnswer is an error of Huma's that nobody described further.
func faultAnswer(status int) answer {
	code, found := map[int]int{
		http.StatusBadRequest:   codeInvalidRequest,
		http.StatusUnauthorized: codeUnauthorized,
		http.StatusForbidden:    codeUserUnknown,
		http.StatusConflict:     codeUserExists,
	}[status]
	if !found {
		code = status
	}
	return jsonAnswer(status, map[string]any{"code": code, "message": http.StatusText(status)})
}

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

// delivery sends an answer the way a fault wants it.
type delivery struct {
	answer
	fault  Fault
	finish func(status int, problem string)
}

func (d delivery) send(w http.ResponseWriter, r *http.Request) {
	f := d.fault
	if f.Reset != "" {
		d.finish(0, d.problem)
		resetConnection(w)
		return
	}
	h := w.Header()
	if len(d.body) > 0 {
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
	case f.Truncate > 0 && len(d.body) > 0:
		d.sendTruncated(w)
	case f.Size != 0 || f.Drip != 0 || f.Gzip:
		d.sendSlowly(w, r)
	default:
		d.finish(d.status, d.problem)
		if d.status != http.StatusNoContent && d.status != http.StatusNotModified {
			h.Set("Content-Length", strconv.Itoa(len(d.body)))
		}
		w.WriteHeader(d.status)
		_, _ = w.Write(d.body) // the client has left, if anything
	}
}

// sendTruncated announces more than it sends.
func (d delivery) sendTruncated(w http.ResponseWriter) {
	d.finish(d.status, d.problem)
	w.Header().Set("Content-Length", strconv.Itoa(len(d.body)))
	w.WriteHeader(d.status)
	_, _ = w.Write(d.body[:min(d.fault.Truncate, len(d.body)-1)])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // net/http's way to cut a connection
}

// sendSlowly sends a body that is long, compressed or comes in drips. Nothing
// is held in memory, since the body may be without end.
func (d delivery) sendSlowly(w http.ResponseWriter, r *http.Request) {
	defer d.finish(d.status, d.problem)
	f := d.fault
	var out io.Writer = w
	if f.Gzip {
		w.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(w)
		defer compressed.Close()
		out = compressed
	}
	w.WriteHeader(d.status)
	source := io.MultiReader(bytes.NewReader(d.body), &padding{left: f.Size - int64(len(d.body)), endless: f.Size < 0})
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

// padding reads as spaces, which JSON allows after a value.
type padding struct {
	left    int64
	endless bool
}

func (p *padding) Read(b []byte) (int, error) {
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
