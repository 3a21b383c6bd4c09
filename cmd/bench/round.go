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

// The names of the measured values.
const (
	valueRequests    = "requests"
	valueConnections = "connections" // opened to the service
	valueRate        = "requestsPerSecond"
	valueP50         = "p50Ms"
	valueP99         = "p99Ms"
	valueCPU         = "cpuSecondsPer1000"
	valueFirst       = "firstResponseMs" // since the start of the process
	valueStartCPU    = "cpuMs"           // until the first response
	valueSize        = "sizeMiB"
	valueMemory      = "residentMB"
	valueGoroutines  = "goroutines"
	valueCore        = "percentOfCore"
)

// columns are the values in the table.
var columns = []string{valueRate, valueP50, valueP99, valueCPU, valueFirst, valueStartCPU, valueSize, valueMemory, valueGoroutines, valueCore}

// candidate is one of the things that are compared.
type candidate struct {
	name  string
	round func(context.Context) (tool.Values, error) // measures one round
}

// measure measures all rounds of all candidates. The order is random in each round,
// since a round can depend on the previous one, such as one with a fixed rate. Ratios
// are to the candidate with the name against.
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
			if round > 0 { // the first round is the warm-up
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

// conclude sets the medians and the ratios of all rows.
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

// medians returns the median of each value that is in all rounds.
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

// median returns the median of v.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// added returns the median of the differences of a value between the rounds of two rows.
func added(row, other *tool.Row, name string) float64 {
	var all []float64
	for round, values := range row.Rounds {
		all = append(all, values[name]-other.Rounds[round][name])
	}
	return median(all)
}

// sum returns the sum of a value in all rounds.
func sum(row *tool.Row, name string) (sum float64) {
	for _, values := range row.Rounds {
		sum += values[name]
	}
	return sum
}

// workload is a kind of request with the process that is measured.
type workload struct {
	name    string
	address string
	request func(*client) error
	rate    float64 // requests per second. 0: no limit

	process *process.Process // whose processor time is measured. Nil: none
	calls   bool             // each response requires a call to the service; if false, calls are an error
}

// candidate returns a candidate that measures rounds of a workload.
func (o *options) candidate(s *service, w workload) candidate {
	return candidate{w.name, func(ctx context.Context) (tool.Values, error) { return o.measureRound(ctx, s, w) }}
}

// measureRound measures one round of a workload.
func (o *options) measureRound(ctx context.Context, s *service, w workload) (tool.Values, error) {
	clients, err := dial(ctx, w.address, o.connections)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	for _, c := range clients { // the time for opening connections is not measured
		if err := w.request(c); err != nil {
			return nil, err
		}
	}
	calls, connections, used := s.calls.Load(), s.connections.Load(), w.processorTime()
	start := time.Now()
	latency, err := w.run(ctx, clients, o.round)
	if err != nil {
		return nil, err
	}
	n, took := latency.Count(), time.Since(start)
	if n == 0 {
		return nil, errors.New("no response in a round")
	}
	values := tool.Values{
		valueRequests:    float64(n),
		valueConnections: float64(s.connections.Load() - connections),
		valueRate:        float64(n) / took.Seconds(),
		valueP50:         tool.Millis(latency.Quantile(0.5)),
		valueP99:         tool.Millis(latency.Quantile(0.99)),
	}
	if used > 0 {
		values[valueCPU] = (w.processorTime() - used).Seconds() / float64(n) * 1000
	}
	switch calls = s.calls.Load() - calls; {
	case w.calls && calls < n/2: // concurrent requests for the same user share a call
		return nil, fmt.Errorf("%d calls to the service for %d responses that require one each", calls, n)
	case !w.calls && calls > 0:
		return nil, fmt.Errorf("%d calls to the service for cached tokens", calls)
	}
	return values, nil
}

// processorTime returns the processor time that the process has used so far, or 0 if it
// is unknown.
func (w *workload) processorTime() time.Duration {
	if w.process == nil {
		return 0
	}
	used, _ := w.process.CPU() // an error means that it is unknown
	return used
}

// run sends requests for a duration and returns their latencies.
func (w *workload) run(ctx context.Context, clients []*client, duration time.Duration) (*histogram.Histogram, error) {
	var (
		latency = new(histogram.Histogram)
		start   = time.Now()
		sent    atomic.Int64
	)
	err := forEach(clients, func(c *client) (more bool, err error) {
		due := time.Since(start)
		if w.rate > 0 { // also ends the round in time if the workload is slower than the rate
			due = max(due, time.Duration(float64(sent.Add(1))/w.rate*float64(time.Second)))
		}
		if due >= duration || ctx.Err() != nil {
			return false, ctx.Err()
		}
		time.Sleep(due - time.Since(start))
		began := time.Now()
		err = w.request(c)
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

// forEach calls f repeatedly with each client, concurrently, until it returns false or an
// error.
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
