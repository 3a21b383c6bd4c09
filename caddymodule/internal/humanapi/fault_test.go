package humanapi

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestFaults checks that errors of package wire are returned with the type of the
// token. The tests of wire cover all faults of a connection.
func TestFaults(t *testing.T) {
	var redirected atomic.Int32
	other := testutil.Serve(t, func(http.ResponseWriter, *http.Request) { redirected.Add(1) })
	response := func(status int, name, value string) string {
		return testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			w.WriteHeader(status)
		})
	}
	cut := testutil.ServeRaw(t, func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"id_token\":\""+canaryToken)
	})
	for _, typ := range types {
		if e := refusal(t, response(307, "Location", other), typ); *e != (exchange.StatusError{Op: typ.Op(), Status: 307}) {
			t.Errorf("H9: %+v", e)
		}
		if e := refusal(t, response(429, "Retry-After", "7"), typ); *e != (exchange.StatusError{Op: typ.Op(), Status: 429, RetryAfter: 7 * time.Second}) {
			t.Errorf("H6: %+v", e)
		}
		g, err := testClient(t, cut).Token(t.Context(), typ, user())
		if e := testutil.As[*exchange.TransportError](t, err); g != nil || e.Op != typ.Op() || !e.Sent || e.Timeout {
			t.Errorf("cut: %v, %+v", g, e)
		}
		testutil.NoSecrets(t, err, canaries...)
	}
	if n := redirected.Load(); n != 0 {
		t.Errorf("H9: the other host saw %d requests", n)
	}
}

// TestH14_Unauthorized checks that a status without a known code is not Definite.
func TestH14_Unauthorized(t *testing.T) {
	for _, body := range []string{"", "<html>" + canaryResponse, `{"message":"` + canaryResponse + `"}`} {
		e := refusal(t, testutil.ServeResponse(t, 401, body), connect.SessionToken)
		if *e != (exchange.StatusError{Op: exchange.OpSession, Status: 401}) {
			t.Errorf("%+v", e)
		}
	}
}
