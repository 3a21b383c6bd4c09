package humanapi

import (
	"errors"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// maxLifetime is the maximum lifetime of a token: that of an id token, as the service
// documents it. Longer lifetimes are reduced to it.
const maxLifetime = 24 * time.Hour

// tokenBody is the body of a token request.
type tokenBody struct {
	ClientID        string   `json:"client_id"`
	ClientUserID    string   `json:"client_user_id"`
	Type            string   `json:"type"`
	ClientSecret    string   `json:"client_secret"`
	ClientUserEmail string   `json:"client_user_email,omitempty"`
	ExtraScopes     []string `json:"extra_scopes,omitempty"`
}

func (c *Client) body(t connect.TokenType, u connect.Person) []byte {
	b := tokenBody{
		ClientID:     c.cfg.ClientID,
		ClientUserID: u.ID.Reveal(),
		Type:         string(t),
		ClientSecret: c.cfg.ClientSecret.Reveal(),
		ExtraScopes:  c.cfg.ExtraScopes,
	}
	if t == connect.SessionToken {
		b.ClientUserEmail = u.Email.Reveal()
	}
	return wire.Encode(b)
}

// members are the names of members in a response.
type members struct{ token, lifetime string }

// membersOf returns the member names for a token type. It returns an error for other
// types, because they must not be sent to a page: the service has a third type, which
// is for servers.
func membersOf(t connect.TokenType) (members, error) {
	switch t {
	case connect.SessionToken:
		return members{"session_token", "expires_in"}, nil
	case connect.IDToken:
		return members{"id_token", "id_token_expires_in"}, nil
	}
	return members{}, errors.New("unsupported token type")
}

// read parses the response to a request that was sent at the given time. The refresh token
// (id_refresh_token) is not part of the token, so that it is never cached or passed on to
// a client. It is zero if there is none.
func (m members) read(t connect.TokenType, body []byte, sent time.Time) (_ *exchange.Token, refresh masked.String, _ error) {
	response, reason := wire.Object(body)
	if reason != "" {
		return nil, refresh, &exchange.ResponseError{Op: t.Op(), Reason: reason}
	}
	token := wire.Text(response[m.token])
	if token == "" {
		return nil, refresh, &exchange.ResponseError{Op: t.Op(), Reason: "no token"}
	}
	b := exchange.NewToken(sent).
		Text("token", token).
		Text("type", string(t)).
		Lifetime("expires_in", min(wire.Lifetime(response[m.lifetime]), maxLifetime)).
		Text(m.token, token)
	if id := wire.Text(response["human_id"]); id != "" {
		b.Text("human_id", id)
	}
	if t == connect.IDToken {
		refresh = masked.New(wire.Text(response["id_refresh_token"]))
	}
	return b.Token(), refresh, nil
}
