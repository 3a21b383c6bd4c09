// Command soak sends load to Caddy with huma_token, injects faults into its service or
// its Redis, and checks that the guarantees to users hold.
//
//	go run ./cmd/soak -rate 500 -duration 30s -fault hang -fault-from 10s -fault-for 10s
//	go run ./cmd/soak -redis -fault redis-stop -known 1 -users 2000 -max-entries 1000
//
// It builds and runs the real binary, with the sandbox in place of Huma, behind a proxy
// that injects connection faults. Requests are sent at a fixed rate, regardless of the
// responses. The latency of a request is measured from the time at which it is due, so
// that a stall is visible in all requests that it delays. All servers listen on loopback
// addresses and are stopped at the end.
//
// With -redis, Caddy stores its tokens in a redis-server, which must be installed. The
// fault redis-kill kills it and restarts it when the fault ends; redis-stop pauses it
// with SIGSTOP and resumes it. Caddy reads from Redis only for users who are not in its
// memory, so -max-entries must be less than -users.
//
// It exits with 1 if a guarantee was violated: a token of another user; a second
// sign-up of a user; a status other than 200, 503 and 504 (or 502 if the fault garbles
// responses), or other than 200 if only Redis fails; no response, except if a reload
// closed the connection. It exits with 2 if it failed.
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

	"github.com/caddy-huma/caddy-huma/internal/redisserver"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// options are the flags.
type options struct {
	rate       float64
	duration   time.Duration
	seed       uint64
	users      int
	known      float64
	returning  float64
	noCache    float64
	cancel     float64
	redis      bool
	maxEntries int
	fault      string
	faultFrom  time.Duration
	faultFor   time.Duration
	reload     float64
	set        stringList
	caddy      string
	log        bool

	settleTime time.Duration // between the end of the load and the last metrics
}

// stringList is a flag that can be repeated.
type stringList []string

// String implements flag.Value.
func (t *stringList) String() string { return strings.Join(*t, "; ") }

// Set implements flag.Value.
func (t *stringList) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// Bind implements tool.Tool.
func (o *options) Bind(f *flag.FlagSet) string {
	f.Float64Var(&o.rate, "rate", 500, "`requests` per second, regardless of outstanding responses")
	f.DurationVar(&o.duration, "duration", 30*time.Second, "`duration` of the load")
	f.Uint64Var(&o.seed, "seed", 1, "`seed` of the random choices")
	f.IntVar(&o.users, "users", 1000, "number of `users` that exist at the service from the start (known users)")
	f.Float64Var(&o.known, "known", 0.9, "`share` of requests of known users, from 0 to 1; the others are of new users")
	f.Float64Var(&o.returning, "returning", 0.5, "`share` of the requests of new users that are of one of the last 1000 new users")
	f.Float64Var(&o.noCache, "no-cache", 0, "`share` of requests with Cache-Control: no-cache")
	f.Float64Var(&o.cancel, "cancel", 0, "`share` of requests whose client disconnects within 100ms")
	f.BoolVar(&o.redis, "redis", false, "start a redis-server and use it as the shared store")
	f.IntVar(&o.maxEntries, "max-entries", 0, "maximum number of `users` in memory, cache { max_entries } (default: that of the directive)")
	f.StringVar(&o.fault, "fault", "none", "`fault` to inject, one of "+strings.Join(faultNames(), ", "))
	f.DurationVar(&o.faultFrom, "fault-from", 10*time.Second, "`time` of the start of the fault; 0: before the first request")
	f.DurationVar(&o.faultFor, "fault-for", 10*time.Second, "`duration` of the fault")
	f.Float64Var(&o.reload, "reload", 0, "config `reloads` per second")
	f.Var(&o.set, "set", "additional `option` of huma_token, such as \"max_waiting 500\" or \"registration { rate 1000/s 1000 }\"; repeatable")
	f.StringVar(&o.caddy, "caddy", "", "`file` of a Caddy binary with the plugin (default: build ./cmd/caddy)")
	f.BoolVar(&o.log, "log", false, "write Caddy's log to standard error")
	o.settleTime = 2 * time.Second
	return "Usage: soak [flags]\n\nSends load to Caddy with huma_token, and injects faults into its service or its Redis.\nExits with 1 if a guarantee was violated."
}

// Check implements tool.Tool.
func (o *options) Check() error {
	var errs []error
	if !(o.rate > 0) || o.duration <= 0 || o.faultFor <= 0 {
		errs = append(errs, errors.New("-rate, -duration and -fault-for must be positive"))
	}
	for _, share := range []float64{o.known, o.returning, o.noCache, o.cancel} {
		if !(share >= 0 && share <= 1) {
			errs = append(errs, fmt.Errorf("-known, -returning, -no-cache and -cancel must be between 0 and 1, not %g", share))
		}
	}
	if !(o.reload >= 0) || o.faultFrom < 0 || o.users < 0 || o.maxEntries < 0 {
		errs = append(errs, errors.New("-reload, -fault-from, -users and -max-entries must not be negative"))
	}
	if o.users == 0 && o.known > 0 {
		errs = append(errs, errors.New("-known: without known users it must be 0; see -users"))
	}
	if !slices.Contains(faultNames(), o.fault) {
		errs = append(errs, fmt.Errorf("-fault: unknown fault %q; use one of %s", o.fault, strings.Join(faultNames(), ", ")))
	} else if findFault(o.fault).redisOnly && !o.redis {
		errs = append(errs, fmt.Errorf("-fault: %s requires -redis", o.fault))
	}
	if _, err := redisserver.Path(); o.redis && err != nil {
		errs = append(errs, fmt.Errorf("-redis: %w", err))
	}
	if o.fault != "none" && o.faultFrom >= o.duration {
		errs = append(errs, errors.New("-fault-from must be less than -duration"))
	}
	return errors.Join(errs...)
}

func main() { tool.Main(command) }

// command runs the program and returns its exit code.
func command(ctx context.Context, args []string, out, messages io.Writer) int {
	return tool.Command(ctx, new(options), args, out, messages)
}
