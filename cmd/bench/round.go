package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/histogram"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// The values of a round.
const (
	valueRequests    = "requests"
	valueConnections = "connections" // that were opened to the service
	valueRate        = "requestsPerSecond"
	valueP50         = "p50Ms"
	valueP99         = "p99Ms"
	valueCPU         = "cpuSecondsPer1000"
	valueFirst       = "firstResponseMs" // since the process was started
	valueStartCPU    = "cpuMs"           // until then
	valueSize        = "sizeMiB"
	valueMemory      = "residentMB"
	valueGoroutines  = "goroutines"
	valueCore        = "percentOfCore"
)

var columns = []string{valueRate, valueP50, valueP99, valueCPU, valueFirst, valueStartCPU, valueSize, valueMemory, valueGoroutines, valueCore}

// candidate is one of those that are compared.
type candidate struct {
	name  string
	round func(context.Context) (tool.Values, error) // measures one round
}

// measure makes all rounds of all contenders, each time in another order: a round after
// a paced one finds the machine in another state than one after a round at full speed.
// The others are compared with the contender called against.
func measure(ctx context.Context, rounds int, against string, all []candidate, messages io.Writer) (*tool.Report, error) {
	r := &tool.Report{Title: fmt.Sprintf("medians of %d rounds, and of the ratios to %s", rounds, against), Columns: columns, Rows: make([]tool.Row, len(all))}
	for round := range rounds + 1 {
		for _, i := range rand.Perm(len(all)) {
			row := &r.Rows[i]
			row.Name = all[i].name
			values, err := all[i].round(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", row.Name, err)
			}
			if round > 0 { // the first warms up
				row.Rounds = append(row.Rounds, values)
			}
		}
		if round > 0 {
			fmt.Fprintf(messages, "round %d of %d\n", round, rounds)
		}
	}
	conclude(r, against)
	return r, nil
}

// conclude makes medians and ratios of the rounds.
func conclude(r *tool.Report, against string) {
	base := r.Row(against)
	for i := range r.Rows {
		row := &r.Rows[i]
		var ratios []tool.Values
		for round, values := range row.Rounds {
			ratio := make(tool.Values)
			for name, v := range values {
				if b := base.Rounds[round][name]; b > 0 {
					ratio[name] = v / b
				}
			}
			ratios = append(ratios, ratio)
		}
		row.Values, row.Ratios = medians(row.Rounds), medians(ratios)
	}
}

// medians returns the median of each value that all rounds have.
func medians(rounds []tool.Values) tool.Values {
	m := make(tool.Values)
	for name := range rounds[0] {
		var all []float64
		for _, values := range rounds {
			if v, found := values[name]; found {
				all = append(all, v)
			}
		}
		if len(all) == len(rounds) {
			m[name] = median(all)
		}
	}
	return m
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// added returns the median of what a value of one row is above that of another one.
func added(row, other *tool.Row, name string) float64 {
	var all []float64
	for round, values := range row.Rounds {
		all = append(all, values[name]-other.Rounds[round][name])
	}
	return median(all)
}

// sum returns the sum of a value over all rounds.
func sum(row *tool.Row, name string) (sum float64) {
	for _, values := range row.Rounds {
		sum += values[name]
	}
	return sum
}

// workload is one kind of request.
type workload struct {
	name    string
	address string
	request func(*client) error
	rate    float64 // requests per second. 0: each connection sends as soon as it is answered

	process *process.Process // whose processor time is measured. nil: none
	calls   bool             // Each response needs a call to the service; otherwise there may be none.
}

// candidate makes rounds of a kind.
func (o *options) candidate(s *service, k workload) candidate {
	return candidate{k.name, func(ctx context.Context) (tool.Values, error) { return o.measureRound(ctx, s, k) }}
}

// measureRound measures one round of a kind.
func (o *options) measureRound(ctx context.Context, s *service, k workload) (tool.Values, error) {
	clients, err := dial(ctx, k.address, o.connections)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	for _, c := range clients { // opening connections is not measured
		if err := k.request(c); err != nil {
			return nil, err
		}
	}
	calls, connections, used := s.calls.Load(), s.connections.Load(), k.processorTime()
	start := time.Now()
	latency, err := k.run(ctx, clients, o.round)
	if err != nil {
		return nil, err
	}
	n, took := latency.Count(), time.Since(start)
	if n == 0 {
		return nil, errors.New("no response in a whole round")
	}
	values := tool.Values{
		valueRequests:    float64(n),
		valueConnections: float64(s.connections.Load() - connections),
		valueRate:        float64(n) / took.Seconds(),
		valueP50:         tool.Millis(latency.Quantile(0.5)),
		valueP99:         tool.Millis(latency.Quantile(0.99)),
	}
	if used > 0 {
		values[valueCPU] = (k.processorTime() - used).Seconds() / float64(n) * 1000
	}
	switch calls = s.calls.Load() - calls; {
	case k.calls && calls < n/2: // concurrent requests for a user share one
		return nil, fmt.Errorf("%d calls to the service for %d responses, each of which needs one", calls, n)
	case !k.calls && calls > 0:
		return nil, fmt.Errorf("%d calls to the service in a round that needs none", calls)
	}
	return values, nil
}

// processorTime returns the time that the process has used so far; 0 if it is unknown.
func (k *workload) processorTime() time.Duration {
	if k.process == nil {
		return 0
	}
	used, _ := k.process.CPU() // an error only means that it is unknown
	return used
}

// run sends requests for some time. It returns the latencies since they were sent.
func (k *workload) run(ctx context.Context, clients []*client, lasts time.Duration) (*histogram.Histogram, error) {
	var (
		latency = new(histogram.Histogram)
		start   = time.Now()
		sent    atomic.Int64
	)
	err := forEach(clients, func(c *client) (more bool, err error) {
		due := time.Since(start)
		if k.rate > 0 { // a kind that is too slow for the rate ends its round in time, too
			due = max(due, time.Duration(float64(sent.Add(1))/k.rate*float64(time.Second)))
		}
		if due >= lasts || ctx.Err() != nil {
			return false, ctx.Err()
		}
		time.Sleep(due - time.Since(start))
		began := time.Now()
		err = k.request(c)
		latency.Add(time.Since(began))
		return true, err
	})
	return latency, err
}

// requestAll requests the token of each user once.
func (o *options) requestAll(ctx context.Context, address string, users int) error {
	clients, err := dial(ctx, address, o.connections)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	var next atomic.Int64
	return forEach(clients, func(c *client) (more bool, err error) {
		user := int(next.Add(1)) - 1
		if user >= users {
			return false, nil
		}
		return true, c.token(address, user)
	})
}

// forEach calls f with each client, again and again as long as there is more and no error.
func forEach(clients []*client, f func(*client) (more bool, err error)) error {
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		wg.Go(func() {
			for more := true; more && errs[i] == nil; {
				more, errs[i] = f(c)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
