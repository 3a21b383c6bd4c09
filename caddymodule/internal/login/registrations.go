package login

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// Registrations makes sure that a user is signed up at most once at a time,
// whoever asks: it is shared by all accounts of one API, deployment and
// project, whatever their client types and credentials.
//
// A sign-up whose end is unclear (the connection broke, the answer did not
// come, the service failed while it had the request) may have created the
// user. Such a user is held: until the hold ends, only sign-in may decide. A user
// whom the service has refused is not signed up again for a while, either.
type Registrations struct {
	mu    sync.Mutex
	users map[exchange.UserKey]*registration
	now   func() time.Time
}

// registration is a running sign-up, or the hold it left behind.
type registration struct {
	done chan struct{} // closed when the sign-up has ended
	held time.Time     // not before this moment again; zero while it runs

	// Why not, if the service has refused the user, and the client that it was
	// said to. Nil: the sign-up had an unclear end.
	refusal *exchange.Error
	client  Huma
}

// holds reports whether a hold is one for a sign-up by client. What the service
// rejects is the request of one client, and it may accept another's.
func (r *registration) holds(client Huma, now time.Time) bool {
	return r.held.After(now) && (r.refusal == nil || r.refusal.Code != exchange.CodeRejected || r.client == client)
}

// NewRegistrations returns an empty set.
func NewRegistrations() *Registrations {
	return &Registrations{users: make(map[exchange.UserKey]*registration), now: time.Now}
}

// permit is the right to send one sign-up for a user. release gives it back.
type permit struct {
	owner *Registrations
	user  exchange.UserKey
	reg   *registration
}

// turn is what acquire found.
type turn struct {
	permit   *permit         // the caller may sign the user up now
	finished bool            // somebody else's sign-up has ended in the meantime
	held     time.Duration   // the user is held for so long
	refusal  *exchange.Error // because of it; nil: the last sign-up had an unclear end
}

// acquire asks for the right to sign a user up. While somebody else's sign-up
// of the user runs it waits for its end, and says so: the user may exist now.
func (r *Registrations) acquire(ctx context.Context, user exchange.UserKey, client Huma) (turn, error) {
	r.mu.Lock()
	now := r.now()
	reg, ok := r.users[user]
	switch {
	case ok && reg.held.IsZero():
		r.mu.Unlock()
		select {
		case <-reg.done:
			return turn{finished: true}, nil
		case <-ctx.Done():
			return turn{}, ctx.Err()
		}
	case ok && reg.holds(client, now):
		r.mu.Unlock()
		return turn{held: reg.held.Sub(now), refusal: reg.refusal}, nil
	}
	r.sweep(now)
	reg = &registration{done: make(chan struct{})}
	r.users[user] = reg
	r.mu.Unlock()
	return turn{permit: &permit{r, user, reg}}, nil
}

// release says how the sign-up ended: with a hold of the given length if its end
// was unclear, with 0 if the service has decided.
func (p *permit) release(hold time.Duration) {
	r := p.owner
	r.mu.Lock()
	if hold > 0 {
		p.reg.held = r.now().Add(hold)
	} else {
		delete(r.users, p.user)
	}
	r.mu.Unlock()
	close(p.reg.done)
}

// refuse says that the service has refused the user: that is repeated for a while,
// so that a user cannot use up the rate of sign-ups.
func (p *permit) refuse(refusal *exchange.Error, client Huma, repeat time.Duration) {
	p.owner.mu.Lock()
	p.reg.refusal, p.reg.client = refusal, client
	p.owner.mu.Unlock()
	p.release(repeat)
}

// sweep drops holds that have ended. Their number is bounded by the brake on
// registrations, and each new registration pays for a look at a few of them.
func (r *Registrations) sweep(now time.Time) {
	const atOnce = 8
	looked := 0
	for user, reg := range r.users {
		if !reg.held.IsZero() && !reg.held.After(now) {
			delete(r.users, user)
		}
		if looked++; looked == atOnce {
			return
		}
	}
}

// Release ends the hold of a user, if there is one: the operator knows better
// whether the user exists. A sign-up that runs goes on.
func (r *Registrations) Release(user exchange.UserKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reg := r.users[user]; reg != nil && !reg.held.IsZero() {
		delete(r.users, user)
	}
}

// ReleaseAll ends the holds of all users.
func (r *Registrations) ReleaseAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for user, reg := range r.users {
		if !reg.held.IsZero() {
			delete(r.users, user)
		}
	}
}

// Len is the number of users whose sign-up runs or is held.
func (r *Registrations) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.users)
}
