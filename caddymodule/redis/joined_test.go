package redis

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// memory notes what it was told to forget.
type memory struct{ told []string }

func (m *memory) Forget(user exchange.UserKey) {
	m.told = append(m.told, "forget all of "+string(user))
}
func (m *memory) ForgetTokens(user exchange.UserKey) {
	m.told = append(m.told, "forget "+string(user))
}
func (m *memory) Flush() { m.told = append(m.told, "flush") }
func (m *memory) Doubt() { m.told = append(m.told, "doubt") }

// TestOthersOfThisProcessForget: who does something by way of the store knows it,
// and the others who have joined the same account are told; also while it is down.
func TestOthersOfThisProcessForget(t *testing.T) {
	put := func(t *testing.T, s exchange.Shared, news bool) error {
		t.Helper()
		rec := exchange.Record{Err: &exchange.Error{Code: exchange.CodeRefused}, Until: time.Now().Add(time.Minute)}
		_, err := s.Put(t.Context(), "u", "ios", rec, exchange.Generation{}, news)
		return err
	}
	for _, test := range []struct {
		name string
		do   func(t *testing.T, s exchange.Shared) error
		told []string // the others
	}{
		{"a user is forgotten", func(t *testing.T, s exchange.Shared) error {
			t.Helper()
			return s.Forget(t.Context(), "u")
		}, []string{"forget u"}},
		{"a better token comes", func(t *testing.T, s exchange.Shared) error {
			t.Helper()
			return put(t, s, true)
		}, []string{"forget u"}},
		{"a token comes", func(t *testing.T, s exchange.Shared) error {
			t.Helper()
			return put(t, s, false)
		}, nil},
		{"all are forgotten", func(t *testing.T, s exchange.Shared) error {
			t.Helper()
			return s.Flush(t.Context())
		}, []string{"flush"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := provisioned(t, good())
			if err != nil {
				t.Fatal(err)
			}
			join := func(account string) (s exchange.Shared, m *memory, leave func()) {
				t.Helper()
				m = new(memory)
				member, leave, err := r.Join(account, "service", m, func() {})
				if err != nil {
					t.Fatal(err)
				}
				return member.Shared, m, leave
			}
			shared, own, leaveOwn := join("account")
			defer leaveOwn()
			_, same, leaveSame := join("account")
			defer leaveSame()
			_, other, leaveOther := join("another account")
			defer leaveOther()
			_, gone, leaveGone := join("account")
			leaveGone()

			if err := test.do(t, shared); !errors.Is(err, exchange.ErrDown) { // nobody has connected it
				t.Errorf("error %v", err)
			}
			if !reflect.DeepEqual(same.told, test.told) {
				t.Errorf("the others of the account were told %q, want %q", same.told, test.told)
			}
			for who, m := range map[string]*memory{"who did it": own, "another account": other, "who has left": gone} {
				if m.told != nil {
					t.Errorf("%s was told %q", who, m.told)
				}
			}
		})
	}
}
