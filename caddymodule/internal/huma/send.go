package huma

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// post makes one attempt at a call, signed with the current time, and returns a
// successful response.
func (c *Client) post(ctx context.Context, op exchange.Op, body []byte) (response, error) {
	u, now := c.urls[op], time.Now()
	got, err := wire.Post(ctx, c.cfg.HTTP, wire.Call{
		Op:         op,
		URL:        u,
		Header:     c.header(&u, body, now),
		Body:       body,
		Once:       op == exchange.OpSignUp,
		StatusOnly: op == exchange.OpConsent,
		ReadError: func(e *exchange.StatusError, _ http.Header, body []byte) {
			e.Code = readCode(body)
		},
	})
	return response{body: got, sent: now}, err
}

// header returns the headers of one attempt. The map has the names in Huma's spelling:
// Set would change deploymentId to Deploymentid.
func (c *Client) header(u *url.URL, body []byte, now time.Time) http.Header {
	h := wire.Header()
	if c.cfg.DeploymentID != "" {
		h["deploymentId"] = []string{c.cfg.DeploymentID}
	}
	if c.cfg.Signer != nil {
		replaceHeaders(h, c.cfg.Signer.Sign(Request{
			Method:       http.MethodPost,
			URL:          u,
			ContentType:  wire.ContentType,
			Body:         body,
			DeploymentID: c.cfg.DeploymentID,
			Time:         now,
		}), now)
	}
	replaceHeaders(h, c.cfg.HeaderUp, now)
	return h
}
