package assertion

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// maxResponse is the maximum length of a response body in bytes.
const maxResponse = 256 << 10

// Errors of a fetch. They contain no text of the response.
var (
	errNoKey    = errors.New("no key has this ID")
	errTooLong  = errors.New("the response is longer than 256 KiB")
	errPanicked = errors.New("panic while reading the response")
)

// statusError is a response status other than 200.
type statusError int

func (e statusError) Error() string {
	text := fmt.Sprintf("unexpected status %d", int(e))
	if e >= 300 && e < 400 {
		text += "; redirects are not followed"
	}
	return text
}

// download returns the body of the response to a GET of url.
func (k *Keys) download(ctx context.Context, url string) ([]byte, error) {
	client, err := subrequest.New(subrequest.Peer{Name: "the key server", Option: "jwks"}, subrequest.Config{
		URL: url, Timeout: fetchTimeout, Transport: k.source.Transport,
	})
	if err != nil {
		return nil, errURL
	}
	resp, err := client.Get(ctx, "", nil, http.Header{"Accept": {"*/*"}}, maxResponse+1)
	switch {
	case resp.Status != 0 && resp.Status != http.StatusOK:
		return nil, statusError(resp.Status)
	case err != nil:
		return nil, err
	case len(resp.Body) > maxResponse:
		return nil, errTooLong
	}
	return resp.Body, nil
}
