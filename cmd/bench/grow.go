package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// grow compares Caddy with many cached users with Caddy with few.
func (o *options) grow(ctx context.Context, dir string, messages io.Writer) (r *tool.Report, err error) {
	s, err := newService(ctx, o.users)
	if err != nil {
		return nil, err
	}
	defer s.close()
	const site = "grow"
	var all []candidate
	var took, memory float64 // seconds and bytes of the last Caddy
	for _, users := range []int{max(1, o.users/1000), o.users} {
		caddy, at, startErr := startCaddy(ctx, o.caddy, dir, map[string]string{
			site: tokenDirective(s.address, fmt.Sprintf("cache {\n\tttl 12h\n\tmax_entries %d\n}", 2*o.users)),
		})
		if startErr != nil {
			return nil, startErr
		}
		defer stop(caddy, &err)
		fmt.Fprintf(messages, "Caddy %d, requests of %d users …\n", caddy.PID(), users)
		start, before := time.Now(), residentMemory(ctx, caddy)
		if err := o.requestAll(ctx, at[site], users); err != nil {
			return nil, err
		}
		took, memory = time.Since(start).Seconds(), residentMemory(ctx, caddy)-before
		all = append(all, o.candidate(s, workload{name: fmt.Sprintf("%d users", users), address: at[site], process: caddy, request: randomUser(users, at[site])}))
	}
	// The service is not needed any more. Its users must not be in memory during the
	// rounds, since the garbage collector of this process would scan them.
	s.close()
	s.huma, s.server = nil, nil
	debug.FreeOSMemory()
	if r, err = measure(ctx, o.rounds, all[0].name, all, messages); err != nil {
		return nil, err
	}
	r.Add("first requests of users per second", float64(o.users)/took)
	r.Add("bytes of resident memory per user", memory/float64(o.users))
	return r, nil
}

// residentMemory returns the resident memory of a process in bytes, or 0 if it is
// unknown.
func residentMemory(ctx context.Context, p *process.Process) float64 {
	values, _ := p.Metrics(ctx) // an error means that it is unknown
	return values[process.MetricMemory]
}
