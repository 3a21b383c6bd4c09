package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/histogram"
	"github.com/caddy-huma/caddy-huma/internal/process"
)

// The kinds of rounds, in the order of the report.
const (
	kindRespond = "respond"
	kindStatic  = "static"
	kindWarm    = "warm"
	kindDirect  = "direct"
	kindProxy   = "proxy"
	kindCold    = "cold"
)

var kindNames = []string{kindRespond, kindStatic, kindWarm, kindDirect, kindProxy, kindCold}

// kind is what is asked in a round.
type kind struct {
	name     string
	address  string
	requests [][]byte
	rate     float64 // per second; 0: each connection asks as soon as it is answered
}

// kinds are those that are measured.
func (o *options) kinds(s sites, service string, calls [][]byte) []kind {
	all := []kind{
		{kindRespond, s.respond, asks(s.respond, o.users), 0},
		{kindStatic, s.static, asks(s.static, o.users), 0},
		{kindWarm, s.warm, asks(s.warm, o.users), 0},
		{kindDirect, service, calls, o.rate},
		{kindProxy, s.proxy, calls, o.rate},
		{kindCold, s.cold, asks(s.cold, o.users), o.rate},
	}
	only := strings.Split(o.only, ",")
	return slices.DeleteFunc(all, func(k kind) bool { return k.name != kindRespond && !slices.Contains(only, k.name) })
}

// bench starts everything, measures, and stops it again.
type bench struct {
	options
	service *service
	caddy   *process.Process
}

// measure makes all rounds of all kinds. Each round begins with another kind, so
// that none always comes after the same one.
func (b *bench) measure(ctx context.Context, kinds []kind, messages io.Writer) (*Report, error) {
	report := newReport(kinds)
	for round := range b.rounds + 1 {
		for i := range kinds {
			k := (round + i) % len(kinds)
			sample, err := b.sample(ctx, kinds[k])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kinds[k].name, err)
			}
			if round > 0 { // the first is for warming up
				report.Kinds[k].Rounds = append(report.Kinds[k].Rounds, sample)
			}
		}
		if round > 0 {
			fmt.Fprintf(messages, "round %d of %d\n", round, b.rounds)
		}
	}
	report.conclude()
	return report, nil
}

// sample is one round of one kind.
func (b *bench) sample(ctx context.Context, k kind) (s Sample, err error) {
	clients, err := dial(ctx, k.address, b.connections)
	if err != nil {
		return s, err
	}
	defer hangUp(clients)
	for _, c := range clients { // opening connections is not measured
		if err := c.ask(k.requests[0]); err != nil {
			return s, err
		}
	}
	calls, connections := b.service.calls.Load(), b.service.connections.Load()
	before, noCPU := b.caddy.CPU()
	start := time.Now()
	latency, err := k.ask(ctx, clients, b.round)
	if err != nil {
		return s, err
	}
	n, took := float64(latency.Count()), time.Since(start)
	after, _ := b.caddy.CPU()
	s = Sample{
		Rate: n / took.Seconds(),
		P50:  millis(latency.Quantile(0.5)),
		P99:  millis(latency.Quantile(0.99)),
		CPU:  unknown, Connections: unknown,
	}
	if noCPU == nil && k.name != kindDirect {
		s.CPU = (after - before).Seconds() / n * 1000
	}
	calls = b.service.calls.Load() - calls
	switch {
	case k.rate > 0:
		s.Connections = float64(b.service.connections.Load()-connections) / n * 1000
	case calls > 0:
		return s, fmt.Errorf("%d calls at the service in a round that needs none", calls)
	}
	return s, nil
}

// ask sends requests for a while, each for a user chosen at random, and returns how
// long the answers took since they were sent.
func (k kind) ask(ctx context.Context, clients []*client, lasts time.Duration) (*histogram.Histogram, error) {
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
				if k.rate > 0 {
					due = time.Duration(float64(sent.Add(1)) / k.rate * float64(time.Second))
				}
				if due >= lasts || ctx.Err() != nil {
					return
				}
				time.Sleep(due - time.Since(start))
				began := time.Now()
				errs[i] = c.ask(k.requests[rand.IntN(len(k.requests))])
				latency.Add(time.Since(began))
			}
		})
	}
	wg.Wait()
	return latency, errors.Join(append(errs, ctx.Err())...)
}
