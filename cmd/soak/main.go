// Command soak loads a Caddy with huma_token, makes its service or its Redis fail
// meanwhile, and checks what was promised to users:
//
//	go run ./cmd/soak -rate 500 -duration 30s -fault hang -fault-from 10s -fault-for 10s
//	go run ./cmd/soak -redis -fault redis-stop -known 1 -users 2000 -max-entries 1000
//
// It builds and runs the real binary with a Caddyfile of its own. The sandbox takes the
// place of Huma, behind a proxy that breaks connections. Requests are sent at a fixed
// rate, whatever becomes of the responses. A latency counts from when the request was
// due, so that a stall shows in all requests that it delays. Everything is on loopback
// addresses, and ends with the program.
//
// With -redis, Caddy shares its tokens in a redis-server, which has to be installed. It
// can be killed (and started again when the fault ends) or stopped with SIGSTOP (and
// continued). Caddy reads it only for users who are not in its memory: -max-entries has
// to be less than -users.
//
// It exits with 1 if a promise was broken: a token of another user; a second sign-up of
// a user; a status other than 200, 503 and 504 (or 502, where the fault garbles
// responses), or other than 200 if only Redis fails; no response, except for a
// connection that a reload closed. It exits with 2 if it could not do its work.
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

	settleTime time.Duration // between the load and the last look at Caddy
}

// stringList is a flag that may be given several times.
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
	f.Float64Var(&o.rate, "rate", 500, "`requests` per second, sent when they are due, whether or not earlier ones were answered")
	f.DurationVar(&o.duration, "duration", 30*time.Second, "how long requests are sent")
	f.Uint64Var(&o.seed, "seed", 1, "makes the same choices again")
	f.IntVar(&o.users, "users", 1000, "known `users`, whom the service knows from the start")
	f.Float64Var(&o.known, "known", 0.9, "`share` of requests of known users; the others are of new users")
	f.Float64Var(&o.returning, "returning", 0.5, "`share` of the requests of new users that one of the last 1000 sends again")
	f.Float64Var(&o.noCache, "no-cache", 0, "`share` of requests with Cache-Control: no-cache")
	f.Float64Var(&o.cancel, "callers-leave", 0, "`share` of requests whose client hangs up within 100ms")
	f.BoolVar(&o.redis, "redis", false, "share tokens in a redis-server, which is started")
	f.IntVar(&o.maxEntries, "max-entries", 0, "cache { max_entries }: `users` in memory (default: the directive's)")
	f.StringVar(&o.fault, "fault", "none", "one of "+strings.Join(faultNames(), ", "))
	f.DurationVar(&o.faultFrom, "fault-from", 10*time.Second, "when the fault begins; 0 is before the first request")
	f.DurationVar(&o.faultFor, "fault-for", 10*time.Second, "how long the fault lasts")
	f.Float64Var(&o.reload, "reload", 0, "`reloads` of the config per second")
	f.Var(&o.set, "set", "a further `option` of huma_token, for example \"max_waiting 500\" or \"registration { rate 1000/s 1000 }\"; may be repeated")
	f.StringVar(&o.caddy, "caddy", "", "`file` of a Caddy with the plugin (default: one is built from ./cmd/caddy)")
	f.BoolVar(&o.log, "log", false, "write Caddy's log to the standard error")
	o.settleTime = 2 * time.Second
	return "Usage: soak [flags]\n\nLoads a Caddy with huma_token, and makes its service or its Redis fail meanwhile.\nExits with 1 if a promise was broken."
}

// Check implements tool.Tool.
func (o *options) Check() error {
	var errs []error
	if !(o.rate > 0) || o.duration <= 0 || o.faultFor <= 0 {
		errs = append(errs, errors.New("-rate, -duration and -fault-for must be above 0"))
	}
	for _, share := range []float64{o.known, o.returning, o.noCache, o.cancel} {
		if !(share >= 0 && share <= 1) {
			errs = append(errs, fmt.Errorf("-known, -returning, -no-cache, -callers-leave: %g is not between 0 and 1", share))
		}
	}
	if !(o.reload >= 0) || o.faultFrom < 0 || o.users < 0 || o.maxEntries < 0 {
		errs = append(errs, errors.New("-reload, -fault-from, -users and -max-entries must not be negative"))
	}
	if o.users == 0 && o.known > 0 {
		errs = append(errs, errors.New("-known: there are no known users; see -users"))
	}
	if !slices.Contains(faultNames(), o.fault) {
		errs = append(errs, fmt.Errorf("-fault: %q is none of %s", o.fault, strings.Join(faultNames(), ", ")))
	} else if findFault(o.fault).redisOnly && !o.redis {
		errs = append(errs, fmt.Errorf("-fault: %s needs -redis", o.fault))
	}
	if _, err := redisserver.Path(); o.redis && err != nil {
		errs = append(errs, fmt.Errorf("-redis: %w (%s)", err, redisserver.HowToInstall))
	}
	if o.fault != "none" && o.faultFrom >= o.duration {
		errs = append(errs, errors.New("-fault-from: the load has ended by then; see -duration"))
	}
	return errors.Join(errs...)
}

func main() { process.Main(command) }

// command is the whole program.
func command(ctx context.Context, args []string, out, messages io.Writer) int {
	return tool.Command(ctx, new(options), args, out, messages)
}
