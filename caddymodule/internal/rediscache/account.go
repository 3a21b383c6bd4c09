package rediscache

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// markLife is how long a user who was forgotten is remembered as such: longer
// than any exchange that began before.
const markLife = exchange.ForgottenFor

// flushLife is how long a flush is remembered for replicas that were away.
const flushLife = 24 * time.Hour

// account is the records of one account. Each user has a Redis hash, with a
// field for each kind of token: forgetting is one command.
type account struct {
	store   *Store
	id      string
	name    string // in keys
	prefix  string // of its keys
	flushes atomic.Uint64
	flushed string // the last flush that the listener has found remembered
}

// Get implements exchange.Shared with one HMGET.
func (a *account) Get(ctx context.Context, user exchange.UserKey, kind exchange.Kind) (rec exchange.Record, found bool, seen exchange.Generation, err error) {
	s, key := a.store, a.prefix+keyOf(user)
	s.await(ctx)
	seen.Flushes = a.flushes.Load()
	if s.owed.has(key) {
		return rec, false, seen, &downError{errForgotten}
	}
	op, err := s.begin(ctx, key, false)
	if err != nil {
		return rec, false, seen, err
	}
	values, err := op.Do(op.ctx, op.B().Hmget().Key(key).Field(markField, fieldOf(kind)).Build()).ToArray()
	isForeign := isWrongType(err)
	if err = s.end(&op, err); isForeign {
		s.config.OnUnreadable()
		return rec, false, seen, nil
	}
	if err != nil || len(values) != 2 {
		return rec, false, seen, err
	}
	seen.Mark, _ = values[0].ToString() // nil is none
	if values[1].IsNil() {
		return rec, false, seen, nil
	}
	rec, found = a.read(&values[1], key, kind)
	return rec, found, seen, nil
}

// read opens a value. What is over is a miss, whatever the clock of the store
// says; what cannot be read is one, too.
func (a *account) read(value *rueidis.RedisMessage, key string, kind exchange.Kind) (exchange.Record, bool) {
	s := a.store
	sealed, err := value.AsBytes()
	if err == nil {
		var text []byte
		if text, err = s.seal.Open(sealed, key, string(kind)); err == nil {
			var rec exchange.Record
			if rec, err = exchange.DecodeRecord(text); err == nil {
				if !s.now().Before(rec.Until) {
					return exchange.Record{}, false
				}
				return rec, true
			}
		}
	}
	s.config.OnUnreadable()
	return exchange.Record{}, false
}

// Put implements exchange.Shared with one script.
func (a *account) Put(ctx context.Context, user exchange.UserKey, kind exchange.Kind, rec exchange.Record, seen exchange.Generation, news bool) (bool, error) {
	s, key := a.store, a.prefix+keyOf(user)
	var (
		value   []byte
		life    time.Duration
		channel string
		text    string
	)
	if rec.Grant != nil || rec.Err != nil {
		life = max(0, rec.Until.Sub(s.now())).Truncate(time.Millisecond)
	}
	if life > 0 {
		plain, err := rec.AppendBinary(nil)
		if err != nil {
			return false, err
		}
		value = s.seal.Seal(plain, key, string(kind), rec.Until)
	}
	if news {
		channel = s.channel()
		text = message{replica: s.id, what: newsBetter, account: a.name, user: user}.String()
	}
	if seen.Flushes != a.flushes.Load() {
		return false, nil
	}
	op, err := s.begin(ctx, key, true)
	if err != nil {
		return false, err
	}
	kept, err := s.scripts.put.Exec(op.ctx, op.Client, []string{key}, []string{
		seen.Mark, fieldOf(kind), rueidis.BinaryString(value),
		strconv.FormatInt(life.Milliseconds(), 10), maxKinds, channel, text,
	}).AsInt64()
	if err = s.end(&op, err); err != nil {
		return false, err
	}
	return kept == 1, nil
}

// Forget implements exchange.Shared. While it is owed, Get finds nothing.
func (a *account) Forget(ctx context.Context, user exchange.UserKey) error {
	key := a.prefix + keyOf(user)
	return a.store.owed.do(ctx, key, func(ctx context.Context) error { return a.forget(ctx, key, user) })
}

// forget is one script. It is tried also if the store takes no writes: one that
// is full can still drop.
func (a *account) forget(ctx context.Context, key string, user exchange.UserKey) error {
	s := a.store
	op, err := s.begin(ctx, key, false)
	if err != nil {
		return err
	}
	op.write = true
	return s.end(&op, s.scripts.forget.Exec(op.ctx, op.Client, []string{key}, []string{
		randomID(), strconv.FormatInt(markLife.Milliseconds(), 10), s.channel(),
		message{replica: s.id, what: newsForget, account: a.name, user: user}.String(),
	}).Error())
}

// Flush implements exchange.Shared. It is told before, so that nothing is put
// any more by replicas whose exchanges began earlier, and afterwards, because
// until then they may have read what was about to go. A node that fails does not
// keep the others from being flushed.
func (a *account) Flush(ctx context.Context) error {
	a.flushes.Add(1)
	if err := a.rememberFlush(ctx); err != nil {
		return err
	}
	if err := a.publishFlush(ctx); err != nil {
		return err
	}
	err := a.dropAll(ctx)
	return errors.Join(err, a.publishFlush(ctx))
}

// flushKey is where a flush is remembered for replicas that are away. It is none
// of the keys that a flush drops.
func (a *account) flushKey() string { return a.store.config.KeyPrefix + "f:" + a.name }

// rememberFlush fails only if the store does not serve: one that takes no writes
// can be flushed all the same.
func (a *account) rememberFlush(ctx context.Context) error {
	s := a.store
	op, err := s.begin(ctx, a.flushKey(), false)
	if err != nil {
		return err
	}
	op.write = true
	err = op.Do(op.ctx, op.B().Set().Key(a.flushKey()).Value(randomID()).Px(flushLife).Build()).Error()
	isRefused := troubleOf(err, true) == troubleWrites
	if err = s.end(&op, err); isRefused {
		return nil
	}
	return err
}

func (a *account) publishFlush(ctx context.Context) error {
	s := a.store
	op, err := s.begin(ctx, a.prefix, false)
	if err != nil {
		return err
	}
	op.write = true
	text := message{replica: s.id, what: newsFlush, account: a.name}.String()
	return s.end(&op, op.Do(op.ctx, op.B().Publish().Channel(s.channel()).Message(text).Build()).Error())
}

// dropAll drops the account's keys on all nodes.
func (a *account) dropAll(ctx context.Context) error {
	c := a.store.client.Load()
	if c == nil {
		return &downError{errStarts}
	}
	var problems []error
	for _, node := range (*c).Nodes() {
		if err := a.dropAt(ctx, *c, node); err != nil {
			problems = append(problems, fmt.Errorf("flush a node: %w", plain(err)))
		}
	}
	return errors.Join(problems...)
}

// dropAt looks for the account's keys at one node and drops them wherever they
// are: the node may be a replica. What goes wrong there says little about the
// store, so these are no operations of it.
func (a *account) dropAt(ctx context.Context, c, node rueidis.Client) error {
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		var err error
		if cursor, err = a.dropPage(ctx, c, node, cursor); err != nil {
			return err
		}
	}
	return nil
}

func (a *account) dropPage(ctx context.Context, c, node rueidis.Client, cursor uint64) (next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(globOf(a.prefix)+"*").Count(1000).Build()).AsScanEntry()
	if err != nil || len(page.Elements) == 0 {
		return page.Cursor, err
	}
	cmds := make(rueidis.Commands, 0, len(page.Elements))
	for _, key := range page.Elements {
		cmds = append(cmds, c.B().Unlink().Key(key).Build())
	}
	for _, r := range c.DoMulti(ctx, cmds...) {
		if err := r.Error(); err != nil {
			return 0, err
		}
	}
	return page.Cursor, nil
}

// keyOf is how a user is named in keys. A UserKey is a hash already; this is
// its text.
func keyOf(user exchange.UserKey) string { return base64.RawURLEncoding.EncodeToString([]byte(user)) }

// fieldOf is how a kind is named in a user's hash. It never is markField.
func fieldOf(kind exchange.Kind) string {
	sum := sha256.Sum256([]byte(kind))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// globOf is a text as a pattern of itself.
func globOf(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(text)
}

// isWrongType reports whether there is something under a key that is none of
// ours.
func isWrongType(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && firstWord(answer.Error()) == "WRONGTYPE"
}

// Interface guard.
var _ exchange.Shared = (*account)(nil)
