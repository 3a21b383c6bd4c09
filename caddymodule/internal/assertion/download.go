package assertion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 256 << 10

// transport makes all calls. A transport follows no redirect by itself. Keys
// are fetched a few times an hour, so no connection is kept.
var transport = &http.Transport{
	Proxy:                  http.ProxyFromEnvironment,
	DisableKeepAlives:      true,
	DisableCompression:     true, // a small answer that unpacks to a large one is refused by never being unpacked
	ForceAttemptHTTP2:      true,
	MaxResponseHeaderBytes: 64 << 10,
}

// The errors of a fetch, in our words.
var (
	errNoKey    = errors.New("fetch keys: there is none of this id")
	errLong     = errors.New("fetch keys: the answer is longer than 256 KiB")
	errPanicked = errors.New("fetch keys: reading the answer panicked")
	errNoAnswer = errors.New("fetch keys: no answer in time")
)

// statusError is the status of an answer that is not 200.
type statusError int

func (e statusError) Error() string {
	text := fmt.Sprintf("fetch keys: status %d", int(e))
	if e >= 300 && e < 400 {
		text += ": redirects are not followed"
	}
	return text
}

// download returns what is at a URL.
func download(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errURL
	}
	req.Header.Set("Accept", "*/*")
	req.Header.Set("User-Agent", "caddy-huma")
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, failure(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, statusError(res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, failure(ctx, err)
	case len(b) > maxAnswer:
		return nil, errLong
	}
	return b, nil
}

// failure is why a call has no answer, in words that are safe to print.
func failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errNoAnswer
	}
	return fmt.Errorf("fetch keys: %w", neterror.Plain("the key server", true, err))
}
