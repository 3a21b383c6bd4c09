// Command bench compares huma_token with Caddy's own handlers, in one run:
//
//	go run ./cmd/bench
//
// It builds and runs the real binary. The sandbox takes the place of Huma. One client
// sends requests over connections that it keeps open, in short rounds. Each kind of
// request has one round in turn, each time in another order, so that other load on the
// machine affects all kinds alike. What counts are the ratios of a round to the round
// of respond beside it, and their medians. The kinds are:
//
//   - respond: Caddy's own respond, with the body and the headers of a token response.
//     The body is JSON, so respond looks for placeholders in its braces
//   - again: respond a second time: its ratio shows how far a ratio can be trusted
//   - letters: respond with a body of that size without braces
//   - warm: huma_token, for users whose tokens are cached
//   - direct: a sign-in at the service, without Caddy
//   - proxy: the same call through Caddy's reverse_proxy
//   - cold: huma_token without a cache, for users whom the service knows
//   - python: the endpoint of Huma's quick start in Python, see testdata/quickstart.
//     It needs python3, and is measured only if -only names it
//
// The kinds that call the service (direct, proxy, cold) are sent at the fixed rate
// -rate, the others as fast as they are answered. Processor time is that of the process
// that answers, as the kernel counts it; on systems other than Linux it is missing.
//
//	go run ./cmd/bench grow
//
// compares a Caddy that caches a million users with one that caches a thousand.
//
//	go run ./cmd/bench start
//
// builds Caddy with the plugin and without it, and compares the time to the first
// response, and the size.
//
//	go run ./cmd/bench idle
//
// compares 500 sites that have an account each with 500 that share one, while no
// requests come. It exits with 1 if the difference, or the processor time, is above what
// is promised.
//
// It exits with 2 if it could not measure. Any response other than a token, a call to
// the service for a cached user, and a round without a response count as such.
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

// The modes, which are the first argument. Without one, bench compares the kinds.
const (
	modeGrow  = "grow"
	modeStart = "start"
	modeIdle  = "idle"
)

// options are the flags, of which each mode has some.
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
	f.IntVar(&o.rounds, "rounds", rounds, "`rounds` that are measured of each kind, after one that is not")
	f.StringVar(&o.caddy, "caddy", "", "`file` of a Caddy with the plugin (default: it is built)")
	if o.mode == modeStart {
		f.StringVar(&o.without, "without", "", "`file` of a Caddy without the plugin, if -caddy is given (default: both are built)")
		return "Usage: bench start [flags]\n\nCompares the start and the size of Caddy with the plugin and without it."
	}
	if o.mode == modeIdle {
		f.DurationVar(&o.round, "round", 10*time.Second, "`duration` of a round of one kind, after the start")
		f.IntVar(&o.sites, "sites", 500, "`sites` in one config")
		return "Usage: bench idle [flags]\n\nCompares sites that have an account each with sites that share one, without requests."
	}
	f.DurationVar(&o.round, "round", 300*time.Millisecond, "`duration` of a round of one kind")
	f.IntVar(&o.connections, "connections", 8, "`connections` of the client, each with one request at a time")
	if o.mode == modeGrow {
		f.IntVar(&o.users, "users", users, "cached `users`, which are compared with a thousandth of them; some 2 kB each in Caddy, and as much here")
		return "Usage: bench grow [flags]\n\nCompares a Caddy that caches many users with one that caches few."
	}
	f.IntVar(&o.users, "users", users, "`users` of whom requests come, at random")
	f.Float64Var(&o.rate, "rate", 500, "`requests` per second of kinds that call the service. 0: as fast as they are answered")
	f.StringVar(&o.only, "only", strings.Join(workloadNames[:len(workloadNames)-1], ","), "`kinds` to measure, besides that of -against; python needs python3")
	f.StringVar(&o.against, "against", workloadRespond, "`kind` that the others are compared with")
	return "Usage: bench [flags]\n\nCompares huma_token with Caddy's own handlers.\nSee also: bench grow -h, bench start -h, bench idle -h."
}

// Check implements tool.Tool.
func (o *options) Check() error {
	var errs []error
	if o.rounds < 1 {
		errs = append(errs, errors.New("-rounds must be above 0"))
	}
	if o.mode == modeStart {
		if (o.caddy == "") != (o.without == "") {
			errs = append(errs, errors.New("-caddy and -without: give both or none"))
		}
		return errors.Join(errs...)
	}
	if o.mode == modeIdle {
		if o.round <= 0 || o.sites < 1 {
			errs = append(errs, errors.New("-round and -sites must be above 0"))
		}
		return errors.Join(errs...)
	}
	if o.round <= 0 || o.connections < 1 || o.users < 1 || !(o.rate >= 0) {
		errs = append(errs, errors.New("-round, -connections and -users must be above 0, and -rate not below"))
	}
	for _, name := range o.workloads() {
		if o.mode == "" && !slices.Contains(workloadNames, name) {
			errs = append(errs, fmt.Errorf("-only, -against: %q is none of %s", name, strings.Join(workloadNames, ", ")))
		}
	}
	return errors.Join(errs...)
}

// workloads returns the names of the kinds to measure.
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

func main() { process.Main(command) }

// command is the whole program.
func command(ctx context.Context, args []string, out, messages io.Writer) int {
	o := new(options)
	if len(args) > 0 && slices.Contains([]string{modeGrow, modeStart, modeIdle}, args[0]) {
		o.mode, args = args[0], args[1:]
	}
	return tool.Command(ctx, o, args, out, messages)
}
