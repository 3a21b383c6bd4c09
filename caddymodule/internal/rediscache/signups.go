package rediscache

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
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

// signUps are the markers of one service. A user has one under each encryption
// key's name for them: while keys are rotated replicas have different keys, but
// any two that run at a time have one in common, and meet there. Without a
// rotation there is one key, and one marker.
type signUps struct {
	store  *Store
	prefix string
}

// keysOf returns the names of a user's markers, in the same order everywhere.
func (u *signUps) keysOf(user exchange.UserKey) []string {
	keys := make([]string, len(u.store.markerKeys))
	for i, k := range u.store.markerKeys {
		keys[i] = u.prefix + k.nameOf(user)
	}
	return keys
}

// Claim implements exchange.SignUps. Whoever finds somebody else's marker gives
// back those they set before it, so that no two wait for each other.
func (u *signUps) Claim(ctx context.Context, user exchange.UserKey) (exchange.Claim, error) {
	u.store.await(ctx)
	ours := exchange.Claim{State: exchange.SignUpOurs, Left: markerLife, ID: randomID()}
	keys := u.keysOf(user)
	for i, key := range keys {
		found, err := u.claim(ctx, key, ours)
		if i == 0 && errors.Is(err, exchange.ErrDown) {
			return exchange.Claim{}, err // there is no marker of ours
		}
		if err != nil {
			return exchange.Claim{ID: ours.ID}, err
		}
		if found.State != exchange.SignUpOurs {
			_ = u.settle(ctx, keys[:i], ours, exchange.SignUpEnd{}) // or it is owed
			return found, nil
		}
	}
	return ours, nil
}

func (u *signUps) claim(ctx context.Context, key string, ours exchange.Claim) (exchange.Claim, error) {
	s := u.store
	op, err := s.begin(ctx, key, true)
	if err != nil {
		return exchange.Claim{}, err
	}
	found, err := s.scripts.claim.Exec(op.ctx, op.Client, []string{key}, []string{
		markerRunning + ours.ID, millis(markerLife),
	}).AsStrSlice()
	if err = s.end(&op, err); err != nil {
		return exchange.Claim{}, err
	}
	if len(found) != 2 {
		return exchange.Claim{}, seal.ErrUnreadable
	}
	if found[0] == "" {
		return ours, nil
	}
	left, _ := strconv.ParseInt(found[1], 10, 64)
	return claimOf(found[0], left), nil
}

// Look implements exchange.SignUps.
func (u *signUps) Look(ctx context.Context, user exchange.UserKey) (c exchange.Claim, err error) {
	for _, key := range u.keysOf(user) {
		if c, err = u.look(ctx, key); err != nil || c.State != exchange.SignUpNone {
			break
		}
	}
	return c, err
}

func (u *signUps) look(ctx context.Context, key string) (exchange.Claim, error) {
	s := u.store
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

// Settle implements exchange.SignUps.
func (u *signUps) Settle(ctx context.Context, user exchange.UserKey, claim exchange.Claim, end exchange.SignUpEnd) error {
	return u.settle(ctx, u.keysOf(user), claim, end)
}

// settle settles markers. What cannot be done now is owed, if there is a marker
// that others would wait for as long as it lasts, or should be one.
func (u *signUps) settle(ctx context.Context, keys []string, claim exchange.Claim, end exchange.SignUpEnd) error {
	s := u.store
	over := s.now().Add(end.Hold)
	var errs []error
	for _, key := range keys {
		do := func(ctx context.Context) error {
			return u.settleOne(ctx, key, claim, end.Exists, over.Sub(s.now()))
		}
		if claim.ID == "" && end.Hold == 0 {
			errs = append(errs, do(ctx))
			continue
		}
		errs = append(errs, s.owed.do(ctx, key+" "+claim.ID, do))
	}
	return errors.Join(errs...)
}

// settleOne settles a marker. It is tried also if the store takes no writes: one
// that is full can still drop a marker.
func (u *signUps) settleOne(ctx context.Context, key string, claim exchange.Claim, exists bool, hold time.Duration) error {
	marker, life, wins := "", time.Duration(0), ""
	switch {
	case exists:
		marker, life, wins = markerDone, markerLife, "1"
	case hold >= time.Millisecond:
		marker, life = markerHeld, hold
	}
	s := u.store
	op, err := s.begin(ctx, key, false)
	if err != nil {
		return err
	}
	op.write = true
	return s.end(&op, s.scripts.settle.Exec(op.ctx, op.Client, []string{key}, []string{
		markerRunning + claim.ID, marker, millis(life), wins,
	}).Error())
}

// markerKey keys the names of users among the markers: those of users who have
// been signed up could else be found by trying addresses.
type markerKey struct{ mac func() hash.Hash } // a func prints as an address, a Hash would print its key

// newMarkerKeys makes them of the encryption keys, in an order that does not
// depend on theirs.
func newMarkerKeys(keys []masked.String) []markerKey {
	var sums []string
	for _, k := range keys {
		mac := hmac.New(sha256.New, []byte(k.Reveal()))
		mac.Write([]byte("caddy-huma sign-up marker"))
		sums = append(sums, string(mac.Sum(nil)))
	}
	slices.Sort(sums)
	var made []markerKey
	for _, sum := range slices.Compact(sums) {
		made = append(made, markerKey{func() hash.Hash { return hmac.New(sha256.New, []byte(sum)) }})
	}
	return made
}

func (k markerKey) nameOf(user exchange.UserKey) string {
	mac := k.mac()
	mac.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
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
