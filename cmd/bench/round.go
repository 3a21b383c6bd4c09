package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/histogram"
	"github.com/caddy-huma/caddy-huma/internal/process"
)

// kind is what is asked in a round.
type kind struct {
	name    string
	address string
	ask     func(*client) error
	rate    float64 // per second; 0: each connection asks as soon as it is answered

	caddy *process.Process // whose processor time counts; nil: nobody's
	calls bool             // Caddy needs the service for each answer
}

// bench makes rounds.
type bench struct {
	load
	service *counts
}

// measure makes all rounds of all kinds, each time in another order: what comes after
// a kind that is paced finds another machine than what comes after one that is not.
func (b *bench) measure(ctx context.Context, kinds []kind, messages io.Writer) (Table, error) {
	table := newTable(kinds)
	for round := range b.rounds + 1 {
		for _, k := range rand.Perm(len(kinds)) {
			sample, err := b.sample(ctx, kinds[k])
			if err != nil {
				return table, fmt.Errorf("%s: %w", kinds[k].name, err)
			}
			if round > 0 { // the first is for warming up
				table.Kinds[k].Rounds = append(table.Kinds[k].Rounds, sample)
			}
		}
		if round > 0 {
			fmt.Fprintf(messages, "round %d of %d\n", round, b.rounds)
		}
	}
	table.conclude()
	return table, nil
}

// sample is one round of one kind.
func (b *bench) sample(ctx context.Context, k kind) (s Sample, err error) {
	clients, err := dial(ctx, k.address, b.connections)
	if err != nil {
		return s, err
	}
	defer hangUp(clients)
	for _, c := range clients { // opening connections is not measured
		if err := k.ask(c); err != nil {
			return s, err
		}
	}
	calls, connections := b.service.calls.Load(), b.service.connections.Load()
	before := k.processorTime()
	start := time.Now()
	latency, err := k.drive(ctx, clients, b.round)
	if err != nil {
		return s, err
	}
	n, took := float64(latency.Count()), time.Since(start)
	if n == 0 {
		return s, errors.New("there was no answer in a whole round")
	}
	s = Sample{
		Rate: n / took.Seconds(),
		P50:  millis(latency.Quantile(0.5)),
		P99:  millis(latency.Quantile(0.99)),
		CPU:  unknown, Connections: unknown,
	}
	if before != unknown {
		s.CPU = (k.processorTime() - before).Seconds() / n * 1000
	}
	calls = b.service.calls.Load() - calls
	switch {
	case k.calls && calls < int64(n)/2: // users who ask at the same time share one
		return s, fmt.Errorf("%d calls at the service for %.0f answers, each of which needs one", calls, n)
	case k.calls:
		s.Connections = float64(b.service.connections.Load()-connections) / n * 1000
	case calls > 0:
		return s, fmt.Errorf("%d calls at the service in a round that needs none", calls)
	}
	return s, nil
}

// processorTime is what the process has used so far, or unknown.
func (k *kind) processorTime() time.Duration {
	if k.caddy == nil {
		return unknown
	}
	used, err := k.caddy.CPU()
	if err != nil {
		return unknown
	}
	return used
}

// drive asks for a while, and returns how long the answers took since the requests
// were sent.
func (k *kind) drive(ctx context.Context, clients []*client, lasts time.Duration) (*histogram.Histogram, error) {
	var (
		latency = new(histogram.Histogram)
		start   = time.Now()
		sent    atomic.Int64
		wg      sync.WaitGroup
		errs    = make([]error, len(clients))
	)
	for i, c := range clients {
		wg.Go(func() {
			for errs[i] == nil {
				due := time.Since(start)
				if k.rate > 0 { // what cannot keep up has its round end all the same
					due = max(due, time.Duration(float64(sent.Add(1))/k.rate*float64(time.Second)))
				}
				if due >= lasts || ctx.Err() != nil {
					return
				}
				time.Sleep(due - time.Since(start))
				began := time.Now()
				errs[i] = k.ask(c)
				latency.Add(time.Since(began))
			}
		})
	}
	wg.Wait()
	return latency, errors.Join(append(errs, ctx.Err())...)
}
