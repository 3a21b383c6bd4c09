// Command bench compares huma_token with what Caddy does anyway, in one run:
//
//	go run ./cmd/bench
//
// It builds and runs the real binary, with the sandbox in the place of Huma, and
// asks it over connections that are kept open, always with the same client, in
// short rounds that take turns:
//
//   - respond: Caddy's own respond, with the bytes and the headers of a token's
//     answer, as a Caddyfile has it: `respond <body>` and `header { … }`. The text is
//     JSON, so at each request respond looks in its braces for placeholders, finds
//     none, and answers it as it stands, which is checked before the first round
//   - again: respond once more, which tells how far a ratio is to be believed
//   - letters: the same with a text of that size that has no braces: respond has
//     nothing to look for
//   - static: letters with the headers in respond's own handler, which only JSON can
//     say: the least that Caddy can do
//   - warm: huma_token, for users whose tokens are in its cache
//   - direct: the service itself, with the call that huma_token makes for a token
//   - proxy: the same call through Caddy's reverse_proxy
//   - cold: huma_token without a cache, for users whom the service knows
//   - python: the endpoint of Huma's quick start in plain Python, see
//     testdata/quickstart. It needs python3 and is left out unless -only names it
//
// Those that need the service for an answer, direct, proxy and cold, are asked at a
// fixed rate, the others as fast as they answer. What else the machine does falls on
// all of them alike, so what counts are the ratios to respond: of each round, their
// medians, and those of the means, in which rare things count too. Processor time is the kernel's account of the process
// that answers, client and service not included.
//
//	go run ./cmd/bench grow
//
// compares in the same way a Caddy that keeps the tokens of a million users with one
// that keeps those of a thousand, tells what a user takes of its memory, and sends
// new users at a fixed rate, whom the service does not know: what that takes of
// calls and connections at the service, and of time beside the same two calls
// without Caddy.
//
//	go run ./cmd/bench start
//
// builds Caddy with the plugin and without it, and compares how long they take to
// their first answer, and how large they are.
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
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// mode is what the program measures. Its options are the names of its flags.
type mode interface {
	about() string
	bind(f *flag.FlagSet)
	check() error
	run(ctx context.Context, messages io.Writer) (report, error)
}

// report is what is printed, or encoded as JSON.
type report interface{ print(out io.Writer) error }

// chosen returns the mode that the first argument names, and the other arguments.
func chosen(args []string) (mode, []string) {
	if len(args) > 0 {
		switch args[0] {
		case "grow":
			return new(growOptions), args[1:]
		case "start":
			return new(startOptions), args[1:]
		}
	}
	return new(options), args
}

// load is how rounds are made.
type load struct {
	rounds      int
	round       time.Duration
	connections int
}

// bind describes the flags.
func (l *load) bind(f *flag.FlagSet, rounds int) {
	f.IntVar(&l.rounds, "rounds", rounds, "how many `rounds` are measured, of each kind")
	f.DurationVar(&l.round, "round", 300*time.Millisecond, "how long a round of one kind lasts")
	f.IntVar(&l.connections, "connections", 8, "`connections` of the client, each with one request at a time")
}

// check says what is wrong with the options.
func (l *load) check() error {
	if l.rounds < 1 || l.round <= 0 || l.connections < 1 {
		return errors.New("-rounds, -round, -connections: they must be above 0")
	}
	return nil
}

// bindCaddy describes a flag that two modes have.
func bindCaddy(f *flag.FlagSet, caddy *string) {
	f.StringVar(caddy, "caddy", "", "`file` of a Caddy with the plugin (default: one is built from ./cmd/caddy)")
}

// mostUsers are those whom a Caddy keeps by default.
const mostUsers = 100_000

// options are those of the comparison with respond and reverse_proxy.
type options struct {
	load
	only  string
	users int
	rate  float64
	caddy string
}

func (o *options) about() string {
	return "bench [flags]\n\nCompares huma_token with Caddy's own respond and reverse_proxy, in one run.\nSee also: bench grow -h, bench start -h."
}

func (o *options) bind(f *flag.FlagSet) {
	o.load.bind(f, 40)
	f.StringVar(&o.only, "only", strings.Join(defaultKinds, ","), "the `kinds` that are measured; respond always is, to compare with; "+kindPython+" needs python3")
	f.IntVar(&o.users, "users", 1000, "`users` who ask, at random")
	f.Float64Var(&o.rate, "rate", 500, "`requests` per second of direct, proxy and cold; 0: as fast as they answer")
	bindCaddy(f, &o.caddy)
}

func (o *options) check() error {
	errs := []error{o.load.check()}
	if o.users < 1 || o.users > mostUsers || !(o.rate >= 0) || math.IsInf(o.rate, 1) {
		errs = append(errs, fmt.Errorf("-users must be above 0 and at most %d, and -rate a number that is not below 0", mostUsers))
	}
	for _, name := range strings.Split(o.only, ",") {
		if !slices.Contains(kindNames, name) {
			errs = append(errs, fmt.Errorf("-only: %q is none of %s", name, strings.Join(kindNames, ", ")))
		}
	}
	return errors.Join(errs...)
}

// parse reads the command line.
func parse(args []string, out io.Writer) (m mode, asJSON bool, err error) {
	m, args = chosen(args)
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprintf(out, "Usage: %s\n\n", m.about())
		f.PrintDefaults()
	}
	m.bind(f)
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	if err := f.Parse(args); err != nil {
		return m, asJSON, err
	}
	err = m.check()
	if f.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("%q: only flags are expected", f.Arg(0)))
	}
	if err != nil {
		fmt.Fprintln(out, err)
	}
	return m, asJSON, err
}

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { process.Main(command) }

// command is the whole program.
func command(ctx context.Context, args []string, out, messages io.Writer) int {
	m, asJSON, err := parse(args, messages)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	r, err := m.run(ctx, messages)
	if err == nil && asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else if err == nil {
		err = r.print(out)
	}
	if err != nil {
		fmt.Fprintln(messages, "bench:", err)
		return exitFailed
	}
	return 0
}
