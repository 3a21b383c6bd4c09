package rediscache

import (
	"context"
	"strconv"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// markerLife is how long a marker lasts that nobody settles, and how long it is
// known of a user that they exist.
const markerLife = 10 * time.Minute

// What markers are. That of a sign-up that runs has the Claim's ID after it.
const (
	markerRunning = "r"
	markerDone    = "d"
	markerHeld    = "h"
)

// signUps are the markers of one service.
type signUps struct {
	store  *Store
	prefix string
}

// Claim implements exchange.SignUps.
func (u *signUps) Claim(ctx context.Context, user exchange.UserKey) (exchange.Claim, error) {
	s, key := u.store, u.prefix+keyOf(user)
	ours := exchange.Claim{ID: randomID()}
	op, err := s.begin(ctx, key, true)
	if err != nil {
		return ours, err
	}
	found, err := s.scripts.claim.Exec(op.ctx, op.Client, []string{key}, []string{
		markerRunning + ours.ID, millis(markerLife),
	}).AsStrSlice()
	if err = s.end(&op, err); err != nil {
		return ours, err
	}
	if len(found) != 2 {
		return ours, errUnreadable
	}
	left, _ := strconv.ParseInt(found[1], 10, 64)
	if found[0] == "" {
		ours.State, ours.Left = exchange.SignUpOurs, markerLife
		return ours, nil
	}
	return claimOf(found[0], left), nil
}

// Look implements exchange.SignUps.
func (u *signUps) Look(ctx context.Context, user exchange.UserKey) (exchange.Claim, error) {
	s, key := u.store, u.prefix+keyOf(user)
	op, err := s.begin(ctx, key, false)
	if err != nil {
		return exchange.Claim{}, err
	}
	answers := op.DoMulti(op.ctx, op.B().Get().Key(key).Build(), op.B().Pttl().Key(key).Build())
	marker, err := answers[0].ToString()
	if err == nil {
		err = answers[1].Error()
	}
	if isWrongType(err) {
		marker, err = "?", nil
	}
	if err = s.end(&op, err); err != nil || marker == "" {
		return exchange.Claim{}, err
	}
	left, _ := answers[1].AsInt64()
	return claimOf(marker, left), nil
}

// Settle implements exchange.SignUps. It is tried also if the store takes no
// writes: one that is full can still drop a marker.
func (u *signUps) Settle(ctx context.Context, user exchange.UserKey, claim exchange.Claim, end exchange.SignUpEnd) error {
	s, key := u.store, u.prefix+keyOf(user)
	marker, life, wins := "", time.Duration(0), ""
	switch {
	case end.Exists:
		marker, life, wins = markerDone, markerLife, "1"
	case end.Hold >= time.Millisecond:
		marker, life = markerHeld, end.Hold
	}
	op, err := s.begin(ctx, key, false)
	if err != nil {
		return err
	}
	op.write = true
	return s.end(&op, s.scripts.settle.Exec(op.ctx, op.Client, []string{key}, []string{
		markerRunning + claim.ID, marker, millis(life), wins,
	}).Error())
}

// claimOf reads a marker and how many ms it lasts. What is none is taken for
// that of a sign-up that runs: it is the careful mistake.
func claimOf(marker string, left int64) exchange.Claim {
	c := exchange.Claim{State: exchange.SignUpRunning, Left: time.Duration(max(0, left)) * time.Millisecond}
	switch {
	case marker == markerDone:
		c.State = exchange.SignUpDone
	case marker == markerHeld:
		c.State = exchange.SignUpHeld
	case len(marker) == len(markerRunning)+nameLen && marker[:1] == markerRunning:
		c.ID = marker[1:]
	}
	return c
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Interface guard.
var _ exchange.SignUps = (*signUps)(nil)
