package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

const (
	// joinTime is how long Caddy has to find the store before the load begins.
	joinTime = 10 * time.Second

	// storeKey is the key that values are sealed with: any will do.
	storeKey = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
)

// startStore starts the Redis behind the cache; it is nil without -redis.
func (o options) startStore(ctx context.Context, dir string) (*redisserver.Server, error) {
	if !o.redis {
		return nil, nil
	}
	return redisserver.Start(ctx, dir)
}

// cacheOption is the option cache; empty if it is the directive's.
func (o options) cacheOption(store *redisserver.Server) string {
	var lines []string
	if o.maxEntries > 0 {
		lines = append(lines, "max_entries "+strconv.Itoa(o.maxEntries))
	}
	if store != nil {
		lines = append(lines, "redis {", "\taddress "+store.Addr(), "\tencryption_keys "+storeKey, "}")
	}
	option := "cache"
	if o.ttl > 0 {
		option += " " + o.ttl.String()
	}
	switch {
	case len(lines) > 0:
		return option + " {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}"
	case o.ttl > 0:
		return option
	}
	return ""
}

// mark is what the store and the service have been asked up to a moment.
type mark struct{ reads, signIns int }

// mark looks at the counters, if there is a store. It has to answer.
func (f *failing) mark(r *recorder) error {
	if f.store == nil {
		return nil
	}
	stats, err := f.store.Do(context.Background(), "INFO", "commandstats")
	if err != nil {
		return fmt.Errorf("ask Redis for its statistics: %w", err)
	}
	text, _ := stats.(string)
	r.marked(mark{reads: readsIn(text), signIns: f.calls(sandbox.OpSignIn)})
	return nil
}

// readsIn is how many tokens Redis was asked for, as its statistics tell: each
// exchange reads once, before it calls the service.
func readsIn(stats string) int {
	for line := range strings.Lines(stats) {
		if rest, found := strings.CutPrefix(line, "cmdstat_hmget:calls="); found {
			calls, _, _ := strings.Cut(rest, ",")
			n, _ := strconv.Atoi(calls)
			return n
		}
	}
	return 0
}

// since is what was asked since an earlier moment. A Redis that was started again
// meanwhile counts from 0.
func (m mark) since(before mark) mark {
	if m.reads >= before.reads {
		m.reads -= before.reads
	}
	m.signIns -= before.signIns
	return m
}

// Served is where the tokens of a part of a run came from.
type Served struct {
	Part   string `json:"part"`
	Memory int    `json:"memory"` // of Caddy, and from exchanges that were running
	Redis  int    `json:"redis"`
	Huma   int    `json:"huma"`
}

// served says where so many tokens came from. An exchange asks Redis, if it is
// there, and then the service, if Redis does not know. What Redis was asked and
// could not answer in time was asked for at the service, too.
func (m mark) served(part string, tokens int) Served {
	s := Served{Part: part, Huma: m.signIns, Redis: max(0, m.reads-m.signIns)}
	s.Memory = max(0, tokens-s.Redis-s.Huma)
	return s
}

// Store is what became of the shared store. Times are in milliseconds; -1 if it
// did not happen.
type Store struct {
	Served []Served `json:"served"`

	// DownMs is from the fault's begin until Caddy said that it works without
	// it, UpMs from the fault's end until it said that it uses it again. Downs is
	// how often it said the former in all.
	DownMs float64 `json:"downMs"`
	UpMs   float64 `json:"upMs"`
	Downs  int     `json:"downs"`
}

// storeReport says what became of the store; nil if there was none.
func (r *recorder) storeReport() *Store {
	if len(r.marks) < 2 {
		return nil
	}
	s := &Store{DownMs: msBetween(r.faultFrom, r.storeDown), UpMs: msBetween(r.faultEnd, r.storeUp), Downs: r.storeDowns}
	parts := []struct {
		name   string
		phases []phase
	}{{"before", []phase{phaseBefore}}, {"fault", []phase{phaseFault, phaseRest}}, {"after", []phase{phaseAfter}}}
	for i, m := range r.marks[1:] {
		tokens := 0
		for _, p := range parts[i].phases {
			tokens += r.phases[p].answers["200"]
		}
		s.Served = append(s.Served, m.since(r.marks[i]).served(parts[i].name, tokens))
	}
	return s
}

// joins waits until Caddy has found the store, if there is one.
func (r *recorder) joins(ctx context.Context, store *redisserver.Server) error {
	if store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	select {
	case <-r.joined:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("caddy does not find the store: %w", ctx.Err())
	}
}
