package exchange

import (
	"context"
	"testing"
)

func TestUserFrom(t *testing.T) {
	if user := UserFrom(t.Context()); user != "" {
		t.Errorf("a context without a user has %q", user)
	}
	var issued UserKey
	b := newTestEngine()
	b.exchange = func(ctx context.Context, call int64) (*Token, Outcome, error) {
		issued = UserFrom(WithPriority(ctx))
		return token(call), OutcomeSignedIn, nil
	}
	ctx := WithUser(t.Context(), "another")
	if r := b.Exchange(ctx, &Request{User: "ada", Source: source{b}, Policy: &b.policy}); r.Err != nil {
		t.Fatal(r.Err)
	}
	if issued != "ada" {
		t.Errorf("an exchange for ada is made for %q", issued)
	}
}
