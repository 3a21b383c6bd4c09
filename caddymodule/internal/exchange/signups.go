package exchange

import (
	"context"
	"errors"
	"time"
)

// lookEvery is how often a replica looks whether the sign-up of another one has
// ended: less than what a sign-up takes.
const lookEvery = 50 * time.Millisecond

// Replicas is what a Login needs to leave a sign-up to another replica. It is
// made for one exchange.
type Replicas struct {
	SignUps SignUps
	User    UserKey // names the user in SignUps: the same in all replicas

	// Stored returns the token of this user and kind that another replica has
	// stored; nil if there is none.
	Stored func(ctx context.Context) *Grant

	// Deny says that nobody is signed up while nobody knows whether another
	// replica does it, because SignUps is down.
	Deny bool

	turn signUpTurn
}

// signUpTurn is what begin found, and then how our sign-up ended.
type signUpTurn struct {
	ours   bool   // send it
	exists bool   // another replica's has created the user
	grant  *Grant // and its token is here
	err    *Error // nobody may send it

	claim Claim
	end   SignUpEnd
}

var errNoStore = errors.New("nobody knows if another replica signs this user up: the shared store is down, and the option `signup_without_store` is deny")

// begin asks all replicas for the right to sign a user up. While another one
// does, it waits for its end.
func (r *Replicas) begin(ctx context.Context) *signUpTurn {
	if r == nil {
		return &signUpTurn{ours: true}
	}
	t := &r.turn
	for {
		claim, err := r.SignUps.Claim(ctx, r.User)
		t.claim = claim
		switch {
		case err != nil && r.Deny:
			r.settle(claim, SignUpEnd{}) // the store may have done what it did not answer
			t.err = &Error{Code: CodeUnavailable, RetryAfter: holdRetry, Err: errNoStore}
			return t
		case err != nil, claim.State == SignUpOurs:
			t.ours = true
			return t
		case claim.State == SignUpHeld: // and sign-in has just been tried
			t.err = heldError(claim.Left)
			return t
		}
		if again := r.wait(ctx, t); !again {
			return t
		}
	}
}

// wait waits for the end of another replica's sign-up, for half of the time
// that is left: the other half is for a sign-in. It returns true if the sign-up
// has ended without a user.
func (r *Replicas) wait(ctx context.Context, t *signUpTurn) (again bool) {
	patience := time.Hour
	if deadline, ok := ctx.Deadline(); ok {
		patience = time.Until(deadline) / 2
	}
	tooLong := time.NewTimer(patience)
	defer tooLong.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		// The token comes before the end of the sign-up is told.
		claim, err := r.SignUps.Look(ctx, r.User)
		t.claim.Left = claim.Left
		if t.grant = r.Stored(ctx); t.grant != nil {
			return false
		}
		switch {
		case err != nil, claim.State == SignUpHeld:
			return false
		case claim.State == SignUpDone:
			t.exists = true
			return false
		case claim.State == SignUpNone:
			return true
		}
		select {
		case <-look.C:
		case <-tooLong.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// Settle tells the other replicas how the sign-up ended, if there was one. It
// comes after the token is stored.
func (r *Replicas) Settle() {
	if r == nil || !r.turn.ours {
		return
	}
	r.settle(r.turn.claim, r.turn.end)
	r.turn = signUpTurn{} // there may be another one
}

// settle does not take the exchange's context, which may be over by now: the
// store has its own timeout, and without this the others wait for nothing.
func (r *Replicas) settle(claim Claim, end SignUpEnd) {
	_ = r.SignUps.Settle(context.Background(), r.User, claim, end)
}
