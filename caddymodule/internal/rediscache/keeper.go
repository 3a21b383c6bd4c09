package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/rueidis"
)

const (
	// Between tries the keeper waits longer each time. With what a try takes it
	// is less than 5 s from one to the next.
	firstWait = 50 * time.Millisecond
	lastWait  = 2 * time.Second

	// calm is for how long there must have been no trouble until the waits
	// begin anew.
	calm = 10 * time.Second

	// beat is how often the keeper looks although nobody complains.
	beat = 5 * time.Second

	// giveUp is after how long without success a client is replaced by a new
	// one, which knows nothing of old topologies.
	giveUp = 30 * time.Second

	// probeLife is how long what the keeper writes stays there.
	probeLife = 10 * time.Second
)

// keep connects, and keeps watch, until the Store is closed.
func (s *Store) keep() {
	defer close(s.done)
	k := keeper{Store: s}
	for s.ctx.Err() == nil {
		c, err := s.newClient()
		if err != nil {
			k.know(troubleAll, plain(err))
			k.pause()
			continue
		}
		k.serve(c)
	}
	s.shut(troubleAll, errClosed)
	s.up.Store(false)
}

// keeper is the one goroutine that opens what operations have shut.
type keeper struct {
	*Store
	wait    time.Duration // the next pause
	trouble time.Time     // when there was some last
	told    bool          // OnState was told something
}

// serve lets operations through to c while it is of use.
func (k *keeper) serve(c rueidis.Client) {
	ctx, cancel := context.WithCancel(k.ctx)
	listens := make(chan struct{})
	l := newListener(k.Store, c)
	go func() {
		defer close(listens)
		l.listen(ctx)
	}()
	defer func() {
		k.client.Store(nil)
		cancel()
		c.Close()
		<-listens
	}()
	// Who finds something in the store should hear when it goes.
	select {
	case l.err = <-l.tries:
	case <-k.ctx.Done():
	}
	k.client.Store(&c)
	for since := time.Now(); ; {
		t, err := k.probe(c, l)
		if k.ctx.Err() != nil {
			return
		}
		k.know(t, err)
		if t == troubleNone {
			since = time.Now()
			k.owed.pay(k.ctx)
			if !k.watch() {
				return
			}
			continue
		}
		if !k.pause() || t != troubleWrites && time.Since(since) > giveUp {
			return
		}
	}
}

// watch returns when it is time for a look: somebody had trouble, or it is time
// anyway. It reports false if the Store was closed.
func (k *keeper) watch() bool {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	select {
	case <-k.ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-k.suspect:
	}
	// The first look comes at once. If there is trouble again soon after it went
	// well, the next ones do not: a store that answers every other time costs
	// those who try it more than one that is down.
	calmed := time.Since(k.trouble) > calm
	k.trouble = time.Now()
	if calmed {
		k.wait = 0
		return true
	}
	return k.pause()
}

// pause waits between tries. It reports false if the Store was closed.
func (k *keeper) pause() bool {
	k.trouble = time.Now()
	k.wait = min(max(firstWait, 2*k.wait), lastWait)
	timer := time.NewTimer(k.wait - time.Duration(rand.Int64N(int64(k.wait/4))))
	defer timer.Stop()
	select {
	case <-k.ctx.Done():
		return false
	case <-timer.C:
	}
	select {
	case <-k.suspect: // what was found meanwhile is looked at now
	default:
	}
	return true
}

// probe finds out what the store does. It looks where an operation has failed
// last: in a cluster, at the node that has that key.
func (k *keeper) probe(c rueidis.Client, l *listener) (trouble, error) {
	key := k.config.KeyPrefix + "p:" + k.id
	if at := k.suspects.Load(); at != nil {
		key = k.config.KeyPrefix + "p:{" + *at + "}"
	}
	// The first round trip may have to connect, which takes its time. But an
	// operation that needs the same connection would wait for as long, whatever
	// its own time is: so only when there is none.
	limit := k.config.Timeout
	if k.reads.Load() != nil && len(k.slots) == 0 {
		limit = connectTimeout
	}
	ctx, cancel := context.WithTimeout(k.ctx, limit)
	defer cancel()
	err := c.Do(ctx, c.B().Get().Key(key).Build()).Error()
	if t := troubleOf(err, false); t != troubleNone {
		return t, plain(err)
	}
	// The others are operations.
	write := func(cmd rueidis.Completed) (trouble, error) {
		ctx, cancel := context.WithTimeout(k.ctx, k.config.Timeout)
		defer cancel()
		err := c.Do(ctx, cmd).Error()
		switch t := troubleOf(err, true); {
		case t == troubleLink && errors.Is(err, context.DeadlineExceeded):
			return t, errSlow
		case t != troubleNone:
			return t, plain(err)
		case err != nil: // whatever it is, it would be the same for operations
			return troubleWrites, plain(err)
		}
		return troubleNone, nil
	}
	if t, err := write(c.B().Set().Key(key).Value(k.id).PxMilliseconds(probeLife.Milliseconds()).Build()); t != troubleNone {
		return t, err
	}
	if t, err := write(c.B().Publish().Channel(k.channel()).Message(message{replica: k.id, what: newsBeat}.String()).Build()); t != troubleNone {
		return t, err
	}
	l.sent()
	if err := l.hears(k.ctx); err != nil {
		return troubleAll, err
	}
	return troubleNone, nil
}

// await waits until it is known whether the store serves, for as long as an
// operation may take: at a start and after a reload replicas should not do without
// each other only because nobody has looked yet.
func (s *Store) await(ctx context.Context) {
	select {
	case <-s.looked:
		return
	default:
	}
	timer := time.NewTimer(s.config.Timeout)
	defer timer.Stop()
	select {
	case <-s.looked:
	case <-timer.C:
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
}

// wake makes the keeper have a look.
func (s *Store) wake() {
	select {
	case s.suspect <- struct{}{}:
	default:
	}
}

// know acts on what was found, and tells if it is another state than before.
func (k *keeper) know(t trouble, err error) {
	switch t {
	case troubleNone:
		// What began before and fails later says nothing about now.
		k.lastOK.Store(int64(time.Since(k.started)))
		k.writes.Store(nil)
		k.reads.Store(nil)
	case troubleWrites:
		k.shut(t, err)
		k.reads.Store(nil)
	default:
		k.shut(t, err)
	}
	up := t == troubleNone
	if was := k.up.Swap(up); was != up || !k.told {
		if !k.told {
			close(k.looked)
		}
		k.told = true
		k.config.OnState(up, err)
	}
}
