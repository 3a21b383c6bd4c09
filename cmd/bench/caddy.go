package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/process"
)

// startCaddy starts Caddy with sites, whose directives are given by name. It returns
// their addresses by name. The sites have no host matchers, since their cost would
// depend on the order of the sites.
func startCaddy(ctx context.Context, binary, dir string, sites map[string]string) (p *process.Process, at map[string]string, err error) {
	cfg := process.Config{Binary: binary, Dir: dir}
	var b strings.Builder
	at = make(map[string]string)
	for name, directives := range sites {
		if at[name], err = freeport.Address(ctx); err != nil {
			return nil, nil, err
		}
		cfg.Sites = append(cfg.Sites, at[name])
		_, port, _ := net.SplitHostPort(at[name])
		fmt.Fprintf(&b, "\nhttp://:%s {\n%s\n}\n", port, directives)
	}
	p, err = startSites(ctx, cfg, b.String())
	return p, at, err
}

// startSites starts Caddy with sites in Caddyfile format.
func startSites(ctx context.Context, cfg process.Config, sites string) (_ *process.Process, err error) {
	if cfg.Admin, err = freeport.Address(ctx); err != nil {
		return nil, err
	}
	cfg.Caddyfile = fmt.Sprintf("{\n\tadmin %s\n\tpersist_config off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n\tlog {\n\t\tlevel WARN\n\t}\n}\n", cfg.Admin) + sites
	return process.Start(ctx, cfg)
}

// stop stops a process, and joins its error with *err. Use it with defer.
func stop(p *process.Process, err *error) {
	if stopped := p.Stop(); stopped != nil {
		*err = errors.Join(*err, fmt.Errorf("process %d exited: %w", p.PID(), stopped))
	}
}

// tokenDirective returns the directive huma_token with additional options.
func tokenDirective(service, options string) string {
	return tokenDirectiveFor(service, projectID, secret, options)
}

// tokenDirectiveFor is tokenDirective for another account.
func tokenDirectiveFor(service, project, secret, options string) string {
	return fmt.Sprintf("huma_token * {\napi http://%s\nproject_id %s\ndeployment_id %s\nclient_id ios %s\nsecret %s\nidentity {\nemail %s\n}\ntrust proxies 127.0.0.1\n%s\n}",
		service, project, deploymentID, clientID, secret, userHeader, options)
}

// response is a response without the headers that the server adds to all responses.
type response struct {
	header http.Header
	body   []byte
}

// firstResponse requests the token of the first user.
func firstResponse(ctx context.Context, address string) (*response, error) {
	clients, err := dial(ctx, address, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	header, err := clients[0].send(clients[0].request(address, 0))
	if err != nil {
		return nil, fmt.Errorf("first request: %w", err)
	}
	for _, name := range []string{"Date", "Server", "Content-Length"} {
		header.Del(name)
	}
	return &response{header, clients[0].body.Bytes()}, nil
}

// directives returns directives that respond with the same headers and a body.
func (r *response) directives(body string) string {
	var b strings.Builder
	b.WriteString("header {\n")
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		fmt.Fprintf(&b, "%s `%s`\n", name, r.header.Get(name))
	}
	fmt.Fprintf(&b, "}\nrespond `%s`", body)
	return b.String()
}

// check returns an error if the server at an address does not send the same headers and
// body, for example because respond has replaced a placeholder.
func (r *response) check(ctx context.Context, address string) error {
	got, err := firstResponse(ctx, address)
	if err == nil && (!bytes.Equal(got.body, r.body) || !maps.EqualFunc(got.header, r.header, slices.Equal[[]string])) {
		err = fmt.Errorf("respond sent %v and %d bytes instead of %v and %d bytes", got.header, len(got.body), r.header, len(r.body))
	}
	return err
}
