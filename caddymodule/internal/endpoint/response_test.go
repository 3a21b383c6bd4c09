package endpoint

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestLengths checks that every response has Content-Length, also one that is larger than
// the server's buffer.
func TestLengths(t *testing.T) {
	for _, n := range []int{1, serverBuffer, serverBuffer + 1, 40_000} {
		for proto, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
			t.Run(fmt.Sprint(proto, " ", n), func(t *testing.T) {
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					write(w, http.StatusOK, "application/json", make([]byte, n))
				}))
				s.EnableHTTP2 = http2
				s.StartTLS()
				defer s.Close()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := s.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if res.Proto != proto || res.ContentLength != int64(n) || res.Header.Get("Cache-Control") != "private, no-store" {
					t.Errorf("%s, length %d, %v", res.Proto, res.ContentLength, res.Header)
				}
			})
		}
	}
}
