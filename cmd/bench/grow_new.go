package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// register sends new users at a fixed rate: through Caddy, and to another service
// with the calls that Caddy makes for them.
func (o *growOptions) register(ctx context.Context, messages io.Writer) (n NewUsers, err error) {
	service, err := newService(ctx, 0)
	if err != nil {
		return n, err
	}
	defer service.close()
	other, err := newService(ctx, 0)
	if err != nil {
		return n, err
	}
	defer other.close()
	err = o.with(ctx, service.address, func(g *grown) error {
		fmt.Fprintf(messages, "%g new users a second …\n", o.rate)
		var asked, signed atomic.Int64
		b := bench{o.load, service.counts}
		n.Table, err = b.measure(ctx, []kind{
			{name: "both calls", address: other.address, rate: o.rate, ask: func(c *client) error {
				return c.signUp(other.address, userName(int(signed.Add(1))))
			}},
			{name: "new users", address: g.site, rate: o.rate, caddy: g.process, calls: true, ask: func(c *client) error {
				_, err := c.token(g.site, int(asked.Add(1)))
				return err
			}},
		}, messages)
		if err != nil {
			return err
		}
		calls := service.huma.Calls().ByOp
		n.conclude(asked.Load(), calls)
		for operation, count := range calls {
			if int64(count) != n.Users {
				return fmt.Errorf("%d calls of %s for %d new users", count, operation, n.Users)
			}
		}
		return nil
	})
	return n, err
}

// signUp makes the calls that huma_token makes for a new user.
func (c *client) signUp(service, email string) error {
	user := map[string]string{"clientId": clientID, "projectId": projectID, "email": email}
	request, err := signed(service, "signin", user)
	if err != nil {
		return err
	}
	if err := c.ask(http.StatusForbidden, request); err != nil {
		return err
	}
	user["ipAddress"] = "127.0.0.1"
	request, err = signed(service, "signup", user)
	if err != nil {
		return err
	}
	return c.ask(http.StatusCreated, request)
}

// signed is a call at Huma.
func signed(service, operation string, body map[string]string) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(text)
	return fmt.Appendf(nil, "POST /api/integration/v1/auth/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\ndeploymentId: %s\r\nsignature: %s\r\nContent-Length: %d\r\n\r\n%s",
		operation, service, deploymentID, hex.EncodeToString(mac.Sum(nil)), len(text), text), nil
}
