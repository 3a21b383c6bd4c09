package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// UserinfoConfig says how users are identified by asking the application.
type UserinfoConfig struct {
	// ByID is that of Config.
	ByID bool
	// Asker asks it.
	Asker Asker
	// Forwards are the canonical names of the request headers that Asker passes
	// on.
	Forwards []string
	// The paths in its answer.
	Email, UserID, Name, FirstName, LastName, Verified string
	// Domains are those of Config.
	Domains []string
}

// NewUserinfo returns the Identifier that asks the application. Its error
// holds every problem there is, each with the name of the option.
func NewUserinfo(c UserinfoConfig) (*Identifier, error) {
	i := &Identifier{byID: c.ByID, asker: c.Asker, forwards: c.Forwards}
	var errs []error
	switch {
	case c.ByID && c.UserID == "":
		errs = append(errs, errors.New("user_id: userinfo needs the path of the user's id in the application's answer: write one such as \"user_id user.id\""))
	case !c.ByID && c.Email == "":
		errs = append(errs, errors.New("email: userinfo needs the path of the address in the application's answer: write one such as \"email user.email\""))
	}
	at := func(path string) presets.Source {
		if path == "" {
			return presets.Source{}
		}
		return presets.Source{Paths: []string{path}}
	}
	written := presets.Sources{
		Email: at(c.Email), UserID: at(c.UserID), Name: at(c.Name), FirstName: at(c.FirstName), LastName: at(c.LastName), Verified: at(c.Verified),
	}
	for _, o := range i.sources(written) {
		if o.written.Paths == nil {
			continue
		}
		paths, err := parsePaths(o.written.Paths)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.name, err))
		}
		*o.target = source{place: place{kind: kindApplication}, paths: paths}
	}
	errs = append(errs, i.setDomains(c.Domains)...)
	errs = append(errs, i.setAddressNeeded(written, len(c.Domains) > 0)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	i.settle(written)
	return i, nil
}

// Asker asks the application who a request comes from.
type Asker interface {
	// Ask returns what the application says of the sender of these headers.
	// Its error is always a *Rejection.
	Ask(ctx context.Context, host string, header http.Header) (claims.Document, error)
}
