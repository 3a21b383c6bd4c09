// Command bench compares the performance of huma_token with Caddy's own handlers.
//
//	go run ./cmd/bench
//
// It builds and runs the real binary, with the sandbox in place of Huma. One client sends
// requests over persistent connections in short rounds. The workloads are measured
// alternately in random order, so that other load on the machine affects all of them
// alike. The results are the medians of the ratios of each round to the corresponding
// round of respond. The workloads are:
//
//   - respond: Caddy's handler respond with the body and the headers of a token response.
//     The body is JSON, so respond searches for placeholders in its braces
//   - respond-repeat: the same again; its ratio shows the measurement error
//   - respond-plain: respond with a body of the same size without braces
//   - warm: huma_token for users whose tokens are cached
//   - direct: a sign-in at the service, without Caddy
//   - proxy: the same call through Caddy's reverse_proxy
//   - cold: huma_token without a cache, for users that exist at the service
//   - python: the endpoint of Huma's quick start in Python, see testdata/quickstart.
//     It requires python3, and is measured only if -only contains it
//
// The workloads that call the service (direct, proxy, cold) have the fixed rate -rate.
// The others send the next request as soon as there is a response. The processor time
// is that of the process that responds. It is measured only on Linux.
//
//	go run ./cmd/bench grow
//
// compares Caddy with a million cached users with Caddy with a thousand.
//
//	go run ./cmd/bench start
//
// builds Caddy with and without the plugin, and compares the time to the first response
// and the size of the binary.
//
//	go run ./cmd/bench idle
//
// compares 500 idle sites with separate accounts with 500 that share an account. It exits
// with 1 if the difference, or the processor time, exceeds its limit.
//
// All modes exit with 2 if the measurement failed, for example because of a response
// other than a token, a call to the service for a cached user, or a round without
// responses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// The modes, which are the first argument. Without one, bench compares the workloads.
const (
	modeGrow  = "grow"
	modeStart = "start"
	modeIdle  = "idle"
)

// options are the flags. Each mode uses some of them.
type options struct {
	mode        string
	rounds      int
	round       time.Duration
	connections int
	users       int
	sites       int
	rate        float64
	only        string
	against     string
	caddy       string
	without     string
}

// Bind implements tool.Tool.
func (o *options) Bind(f *flag.FlagSet) string {
	rounds, users := 40, 1000
	switch o.mode {
	case modeGrow:
		rounds, users = 50, 1_000_000
	case modeStart:
		rounds = 25
	case modeIdle:
		rounds = 3
	}
	f.IntVar(&o.rounds, "rounds", rounds, "number of measured `rounds` of each workload, after one warm-up round")
	f.StringVar(&o.caddy, "caddy", "", "`file` of a Caddy binary with the plugin (default: build it)")
	if o.mode == modeStart {
		f.StringVar(&o.without, "without", "", "`file` of a Caddy binary without the plugin; requires -caddy (default: build both)")
		return "Usage: bench start [flags]\n\nCompares the start time and the binary size of Caddy with and without the plugin."
	}
	if o.mode == modeIdle {
		f.DurationVar(&o.round, "round", 10*time.Second, "`duration` of a round, after the start")
		f.IntVar(&o.sites, "sites", 500, "number of `sites` in the config")
		return "Usage: bench idle [flags]\n\nCompares idle sites with separate accounts with sites that share an account.\nExits with 1 if a limit is exceeded."
	}
	f.DurationVar(&o.round, "round", 300*time.Millisecond, "`duration` of a round")
	f.IntVar(&o.connections, "connections", 8, "number of `connections` of the client, with one request at a time each")
	if o.mode == modeGrow {
		f.IntVar(&o.users, "users", users, "number of cached `users`, compared with a thousandth of them; each takes about 2 kB of memory in Caddy and in bench")
		return "Usage: bench grow [flags]\n\nCompares Caddy with many cached users with Caddy with few."
	}
	f.IntVar(&o.users, "users", users, "number of `users`; each request is of a random one")
	f.Float64Var(&o.rate, "rate", 500, "`requests` per second of workloads that call the service; 0: no limit")
	f.StringVar(&o.only, "only", strings.Join(workloadNames[:len(workloadNames)-1], ","), "comma-separated `workloads` to measure, in addition to that of -against; python requires python3")
	f.StringVar(&o.against, "against", workloadRespond, "`workload` with which the others are compared")
	return "Usage: bench [flags]\n\nCompares the performance of huma_token with Caddy's own handlers.\nSee also: bench grow -h, bench start -h, bench idle -h."
}

// Check implements tool.Tool.
func (o *options) Check() error {
	var errs []error
	if o.rounds < 1 {
		errs = append(errs, errors.New("-rounds must be positive"))
	}
	if o.mode == modeStart {
		if (o.caddy == "") != (o.without == "") {
			errs = append(errs, errors.New("-caddy and -without require each other"))
		}
		return errors.Join(errs...)
	}
	if o.mode == modeIdle {
		if o.round <= 0 || o.sites < 1 {
			errs = append(errs, errors.New("-round and -sites must be positive"))
		}
		return errors.Join(errs...)
	}
	if o.round <= 0 || o.connections < 1 || o.users < 1 || !(o.rate >= 0) {
		errs = append(errs, errors.New("-round, -connections and -users must be positive, and -rate must not be negative"))
	}
	for _, name := range o.workloads() {
		if o.mode == "" && !slices.Contains(workloadNames, name) {
			errs = append(errs, fmt.Errorf("-only, -against: unknown workload %q; use one of %s", name, strings.Join(workloadNames, ", ")))
		}
	}
	return errors.Join(errs...)
}

// workloads returns the names of the workloads to measure.
func (o *options) workloads() []string { return append(strings.Split(o.only, ","), o.against) }

// Run implements tool.Tool.
func (o *options) Run(ctx context.Context, dir string, messages io.Writer) (r *tool.Report, err error) {
	if o.mode == modeStart {
		return o.start(ctx, dir, messages)
	}
	if o.caddy, err = process.Binary(ctx, o.caddy, dir, messages); err != nil {
		return nil, err
	}
	if o.mode == modeIdle {
		return o.idle(ctx, dir, messages)
	}
	if o.mode == modeGrow {
		return o.grow(ctx, dir, messages)
	}
	return o.compare(ctx, dir, messages)
}

func main() { tool.Main(command) }

// command runs the program and returns its exit code.
func command(ctx context.Context, args []string, out, messages io.Writer) int {
	o := new(options)
	if len(args) > 0 && slices.Contains([]string{modeGrow, modeStart, modeIdle}, args[0]) {
		o.mode, args = args[0], args[1:]
	}
	return tool.Command(ctx, o, args, out, messages)
}
