package login

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// Registrations makes sure that a user is signed up at most once at a time in this
// process. All accounts of one API, deployment and project share it, whatever their
// client types and credentials are.
//
// A sign-up whose end is unclear may have created the user: the connection broke, the
// response did not arrive, or the service failed while it had the request. Such a user
// is held: until the hold ends, only sign-in may decide. A user whom the service has
// refused is not signed up again for a while, either.
type Registrations struct {
	mu    sync.Mutex
	users map[exchange.UserKey]*registration
	now   func() time.Time
}

// registration is a running sign-up, or the hold after it.
type registration struct {
	done chan struct{} // closed when the sign-up has ended
	held time.Time     // no sign-up before this time; zero while the sign-up runs

	// The refusal of the user by the service, and the client that got it. Nil: the
	// sign-up had an unclear end.
	refusal *exchange.Error
	client  Huma
}

// holds reports whether the hold applies to a sign-up by client. A request that the
// service rejects is rejected for one client. The service may accept that of another
// one.
func (r *registration) holds(client Huma, now time.Time) bool {
	return r.held.After(now) && (r.refusal == nil || r.refusal.Code != exchange.CodeRejected || r.client == client)
}

// NewRegistrations returns a Registrations without sign-ups and holds.
func NewRegistrations() *Registrations {
	return &Registrations{users: make(map[exchange.UserKey]*registration), now: time.Now}
}

// permit is the permission to send one sign-up for a user. Call release or refuse once.
type permit struct {
	owner *Registrations
	user  exchange.UserKey
	reg   *registration
}

// acquireResult is the result of acquire.
type acquireResult struct {
	permit   *permit         // the caller may sign the user up now
	finished bool            // another request's sign-up has ended in the meantime
	held     time.Duration   // how long the hold of the user lasts
	refusal  *exchange.Error // the reason of the hold; nil: the last sign-up had an unclear end
}

// acquire requests the permission to sign a user up. While another request's sign-up of
// the user runs, acquire waits for its end and returns finished: the user may exist
// now.
func (r *Registrations) acquire(ctx context.Context, user exchange.UserKey, client Huma) (acquireResult, error) {
	r.mu.Lock()
	now := r.now()
	reg, ok := r.users[user]
	switch {
	case ok && reg.held.IsZero():
		r.mu.Unlock()
		select {
		case <-reg.done:
			return acquireResult{finished: true}, nil
		case <-ctx.Done():
			return acquireResult{}, ctx.Err()
		}
	case ok && reg.holds(client, now):
		r.mu.Unlock()
		return acquireResult{held: reg.held.Sub(now), refusal: reg.refusal}, nil
	}
	r.sweep(now)
	reg = &registration{done: make(chan struct{})}
	r.users[user] = reg
	r.mu.Unlock()
	return acquireResult{permit: &permit{r, user, reg}}, nil
}

// release ends the sign-up. hold is how long the user is held if the end was unclear,
// and 0 if the service has decided.
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

// refuse ends the sign-up of a user whom the service has refused. The refusal is
// repeated for the given time, so that one user cannot use up the rate limit of
// sign-ups.
func (p *permit) refuse(refusal *exchange.Error, client Huma, repeat time.Duration) {
	p.owner.mu.Lock()
	p.reg.refusal, p.reg.client = refusal, client
	p.owner.mu.Unlock()
	p.release(repeat)
}

// sweep deletes holds that have ended. The rate limit of sign-ups bounds their number.
// Each new sign-up checks a few of them.
func (r *Registrations) sweep(now time.Time) {
	const atOnce = 8
	checked := 0
	for user, reg := range r.users {
		if !reg.held.IsZero() && !reg.held.After(now) {
			delete(r.users, user)
		}
		if checked++; checked == atOnce {
			return
		}
	}
}

// Release ends the hold of a user, if there is one, because the operator knows whether
// the user exists. A running sign-up is not interrupted.
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

// Len returns the number of users whose sign-up is running or held.
func (r *Registrations) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.users)
}
