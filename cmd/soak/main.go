// Command soak loads a Caddy with huma_token for a while, lets its service or the
// store behind its cache fail meanwhile, and tells what came of it.
//
//	go run ./cmd/soak -rate 500 -duration 30s -fault hang -fault-from 10s -fault-for 10s
//	go run ./cmd/soak -redis -fault redis-stop -known 1 -users 2000 -max-entries 1000
//
// It builds and runs the real binary with a Caddyfile of its own, plays Huma
// with the sandbox behind a proxy that breaks connections, and asks for tokens
// at a fixed rate, whatever becomes of the answers: an answer's latency counts
// from when its request was due, so a stall shows with everybody it kept
// waiting. Everything is on loopback addresses, and ends with the program.
//
// With -redis there is a Redis behind the cache, as replicas share it: a
// redis-server is started, which has to be installed. It can be killed (and
// started again at the end of the fault) or stopped with SIGSTOP (and continued).
// There is one replica, so what it has in memory is in Redis as well: for Redis
// to be read, -max-entries has to be less than -users. The report tells how many
// tokens came from memory, from Redis and from the service.
//
// It exits with 1 if a promise was broken: somebody else's token, a status that
// is not 200, 503 or 504 (or 502, where the fault garbles answers; or nothing but
// 200, where the store fails), or a second sign-up of one user. It exits with 2 if
// it could not do its work.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/redisserver"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// options say what is done. Their names are those of the flags.
type options struct {
	rate     float64
	duration time.Duration
	inFlight int
	seed     uint64

	users        int
	known        float64
	returning    float64
	noCache      float64
	callersLeave float64

	redis      bool
	ttl        time.Duration
	maxEntries int

	fault     string
	faultFrom time.Duration
	faultFor  time.Duration
	slowBy    time.Duration

	reload         float64
	compareRespond bool
	registrations  string
	hold           time.Duration
	set            texts

	caddy  string
	log    string
	asJSON bool
	given  map[string]string // the flags that were given
	settle time.Duration     // how long Caddy is left alone before the last look at it
}

// texts is a flag that can be given several times.
type texts []string

// String implements flag.Value.
func (t *texts) String() string { return strings.Join(*t, "; ") }

// Set implements flag.Value.
func (t *texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// bind describes the flags.
func (o *options) bind(f *flag.FlagSet) {
	f.Float64Var(&o.rate, "rate", 500, "`requests` per second, sent when they are due, whether or not earlier ones were answered")
	f.DurationVar(&o.duration, "duration", 30*time.Second, "how long requests are sent")
	f.IntVar(&o.inFlight, "in-flight", 10000, "requests that wait for an answer at once; beyond, they are sent late, and that counts as latency")
	f.Uint64Var(&o.seed, "seed", 1, "makes the same choices again")

	f.IntVar(&o.users, "users", 1000, "known users, registered before the start")
	f.Float64Var(&o.known, "known", 0.9, "part of the requests that known users send; new users, never seen before, send the others")
	f.Float64Var(&o.returning, "returning", 0.5, "part of the requests of new users that one of the last 1000 sends again")
	f.Float64Var(&o.noCache, "no-cache", 0, "part of the requests with Cache-Control: no-cache")
	f.Float64Var(&o.callersLeave, "callers-leave", 0, "part of the requests whose caller hangs up within 100ms")

	f.BoolVar(&o.redis, "redis", false, "a Redis behind the cache, as replicas share it: a redis-server is started, and has to be installed")
	f.DurationVar(&o.ttl, "ttl", 0, "as in cache <ttl>: how long a token is kept (default: the directive's)")
	f.IntVar(&o.maxEntries, "max-entries", 0, "as in cache { max_entries }: users in memory. With fewer than -users the tokens of the others come from Redis (default: the directive's)")

	f.StringVar(&o.fault, "fault", "none", "what the service does for a while, or with -redis the store: "+strings.Join(faultNames(), ", "))
	f.DurationVar(&o.faultFrom, "fault-from", 10*time.Second, "when the fault begins; 0 is before the first request")
	f.DurationVar(&o.faultFor, "fault-for", 10*time.Second, "how long the fault lasts")
	f.DurationVar(&o.slowBy, "slow-by", 2*time.Second, "with -fault slow: how much later answers come")

	f.Float64Var(&o.reload, "reload", 0, "`reloads` of the config per second")
	f.BoolVar(&o.compareRespond, "compare-respond", false, "afterwards the same run of Caddy's own respond, without fault, to compare with")
	f.StringVar(&o.registrations, "registrations", "", "the brake on sign-ups, as in registration { rate }, for example \"1000/s 1000\" (default: the directive's)")
	f.DurationVar(&o.hold, "hold", time.Minute, "as in registration { hold }: how long after a sign-up with an unclear end no other may be sent")
	f.Var(&o.set, "set", "a further `option` of huma_token, for example \"max_waiting 500\"; may be repeated")

	f.StringVar(&o.caddy, "caddy", "", "`file` of a Caddy with the plugin (default: one is built from ./cmd/caddy)")
	f.StringVar(&o.log, "log", "", "`file` for Caddy's log (default: none)")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	o.settle = 2 * time.Second
}

// check says what is wrong with the options.
func (o *options) check() error {
	var errs []error
	for name, part := range map[string]float64{
		"known": o.known, "returning": o.returning, "no-cache": o.noCache, "callers-leave": o.callersLeave,
	} {
		if part < 0 || part > 1 {
			errs = append(errs, fmt.Errorf("-%s: %g is not between 0 and 1", name, part))
		}
	}
	if o.rate <= 0 || o.duration <= 0 || o.inFlight < 1 {
		errs = append(errs, errors.New("-rate, -duration, -in-flight: they must be above 0"))
	}
	if o.reload < 0 || o.faultFrom < 0 || o.faultFor <= 0 || o.hold <= 0 || o.users < 0 || o.ttl < 0 || o.maxEntries < 0 {
		errs = append(errs, errors.New("-reload, -users, -fault-from, -fault-for, -hold, -ttl, -max-entries: a number is too small"))
	}
	if o.users == 0 && o.known > 0 {
		errs = append(errs, errors.New("-known: there are no known users; see -users"))
	}
	return errors.Join(append(errs, o.checkFault())...)
}

// checkFault says what is wrong with the fault, and the store that it may be of.
func (o *options) checkFault() error {
	var errs []error
	if !slices.Contains(faultNames(), o.fault) {
		errs = append(errs, fmt.Errorf("-fault: %q is none of %s", o.fault, strings.Join(faultNames(), ", ")))
	}
	if findFault(o.fault).ofStore && !o.redis {
		errs = append(errs, fmt.Errorf("-fault: %s needs -redis", o.fault))
	}
	if _, err := redisserver.Path(); o.redis && err != nil {
		errs = append(errs, fmt.Errorf("-redis: %w", err))
	}
	if o.fault != "none" && o.faultFrom >= o.duration {
		errs = append(errs, errors.New("-fault-from: the load is over by then; see -duration"))
	}
	return errors.Join(errs...)
}

// parse reads the command line.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, "Usage: soak [flags]\n\nLoads a Caddy with huma_token, lets its service or store fail meanwhile, and\ntells what came of it. Exits with 1 if a promise was broken.\n\n")
		f.PrintDefaults()
	}
	o.bind(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.given = make(map[string]string)
	f.Visit(func(g *flag.Flag) { o.given[g.Name] = g.Value.String() })
	err := o.check()
	if f.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("%q: only flags are expected", f.Arg(0)))
	}
	if err != nil {
		fmt.Fprintln(out, err)
	}
	return o, err
}

// The exit codes.
const (
	exitBroken = 1
	exitFailed = 2
)

func main() { process.Main(command) }

// command is the whole program.
func command(ctx context.Context, args []string, out, messages io.Writer) int {
	o, err := parse(args, messages)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitFailed
	}
	report, err := soak(ctx, o, messages)
	if err != nil {
		fmt.Fprintln(messages, "soak:", err)
		return exitFailed
	}
	if o.asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.print(out)
	}
	switch {
	case err != nil:
		fmt.Fprintln(messages, "soak:", err)
		return exitFailed
	case len(report.Broken) > 0:
		return exitBroken
	}
	return 0
}
