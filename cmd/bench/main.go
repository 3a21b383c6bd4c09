// Command bench compares huma_token with what Caddy does anyway, in one run:
//
//	go run ./cmd/bench
//
// It builds and runs the real binary, with the sandbox in the place of Huma, and
// asks it over connections that are kept open, always with the same client, in
// short rounds that take turns:
//
//   - respond: Caddy's own respond, with the headers and the size of a token's answer,
//     as a Caddyfile has it: the headers are the directive header's
//   - static: the same with the headers in respond's own handler, which only JSON can
//     say: the least that Caddy can do
//   - warm: huma_token, for users whose tokens are in its cache
//   - direct: the service itself, with the call that huma_token makes for a token
//   - proxy: the same call through Caddy's reverse_proxy
//   - cold: huma_token without a cache, for users whom the service knows
//
// The first three are asked as fast as they answer, the others at a fixed rate. What
// else the machine does falls on all of them alike, so what counts are the ratios:
// of each round, and the median of all rounds. Processor time is the kernel's
// account of the Caddy process, client and service not included.
//
// It exits with 1 if it could not measure, which includes any answer that is no
// success and any call for a user whose token is kept.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options say what is measured. Their names are those of the flags.
type options struct {
	rounds      int
	round       time.Duration
	only        string
	connections int
	users       int
	rate        float64

	caddy  string
	asJSON bool
}

// bind describes the flags.
func (o *options) bind(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 15, "how many `rounds` are measured, of each kind")
	f.DurationVar(&o.round, "round", time.Second, "how long a round of one kind lasts")
	f.StringVar(&o.only, "only", strings.Join(kindNames, ","), "the `kinds` that are measured; respond always is, to compare with")
	f.IntVar(&o.connections, "connections", 8, "`connections` of the client, each with one request at a time")
	f.IntVar(&o.users, "users", 1000, "`users` who ask, at random")
	f.Float64Var(&o.rate, "rate", 500, "`requests` per second of direct, proxy and cold")
	f.StringVar(&o.caddy, "caddy", "", "`file` of a Caddy with the plugin (default: one is built from ./cmd/caddy)")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
}

// check says what is wrong with the options.
func (o *options) check() error {
	var errs []error
	if o.rounds < 1 || o.round <= 0 || o.connections < 1 || o.users < 1 || o.rate <= 0 {
		errs = append(errs, errors.New("-rounds, -round, -connections, -users, -rate: they must be above 0"))
	}
	for _, name := range strings.Split(o.only, ",") {
		if !slices.Contains(kindNames, name) {
			errs = append(errs, fmt.Errorf("-only: %q is none of %s", name, strings.Join(kindNames, ", ")))
		}
	}
	return errors.Join(errs...)
}

// parse reads the command line.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, "Usage: bench [flags]\n\nCompares huma_token with Caddy's own respond and reverse_proxy, in one run.\n\n")
		f.PrintDefaults()
	}
	o.bind(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
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
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is the whole program.
func command(ctx context.Context, args []string, out, messages io.Writer) int {
	o, err := parse(args, messages)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	report, err := o.bench(ctx, messages)
	if err == nil && o.asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else if err == nil {
		err = report.print(out)
	}
	if err != nil {
		fmt.Fprintln(messages, "bench:", err)
		return exitFailed
	}
	return 0
}
