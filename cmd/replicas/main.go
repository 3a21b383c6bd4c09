// Command replicas shows replicas of a site that share their users' tokens:
//
//	go run ./cmd/replicas
//
// It builds the real binary and runs three Caddys of one site with the Caddyfile
// beside this file, a redis-server that they share, a balancer in front of them,
// and the sandbox in the place of Huma; all of it on loopback addresses. It
// prints what to type, and then what the replicas log. Ctrl-C ends everything.
//
// It exits with 2 if it could not do that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// options say what is run where. Their names are those of the flags.
type options struct {
	balancer int
	sandbox  int
	replicas ports
	redis    string

	caddy string // the binary; "": it is built
}

// ports is a flag with a port for each replica.
type ports []int

// String implements flag.Value.
func (p *ports) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(*p)), " ", ","), "[]")
}

// Set implements flag.Value.
func (p *ports) Set(s string) error {
	*p = nil
	for word := range strings.SplitSeq(s, ",") {
		port, err := strconv.ParseUint(word, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no port", word)
		}
		*p = append(*p, int(port))
	}
	return nil
}

// parse reads the command line.
func parse(args []string, messages io.Writer) (options, error) {
	o := options{replicas: ports{8091, 8092, 8093}}
	f := flag.NewFlagSet("replicas", flag.ContinueOnError)
	f.SetOutput(messages)
	f.Usage = func() {
		fmt.Fprint(messages, "Usage: replicas [flags]\n\nRuns replicas of a site that share their users' tokens in Redis, and tells\nwhat to try with them. Everything is on this machine. Ctrl-C ends it.\n\n")
		f.PrintDefaults()
	}
	f.IntVar(&o.balancer, "balancer", 8080, "`port` of the balancer")
	f.IntVar(&o.sandbox, "sandbox", 8081, "`port` of the sandbox")
	f.Var(&o.replicas, "replicas", "`port,port,…` of the replicas, as many as there are to be")
	f.StringVar(&o.redis, "redis", "", "`host:port` of a Redis that runs already, without a password: it is used, and neither stopped nor emptied (default: one is started on a free port)")
	f.StringVar(&o.caddy, "caddy", "", "the `file` of a Caddy with the plugin, its store module redis and the sandbox (default: it is built)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	err := o.check()
	if f.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("%q: only flags are expected", f.Arg(0)))
	}
	if err != nil {
		fmt.Fprintln(messages, err)
	}
	return o, err
}

// check says what is wrong with the options.
func (o *options) check() error {
	if o.redis == "" {
		return nil
	}
	if host, port, err := net.SplitHostPort(o.redis); err != nil || host == "" || port == "" {
		return fmt.Errorf("-redis: %q is not host:port", o.redis)
	}
	return nil
}

// exitFailed is the exit code of a command that could not do its work.
const exitFailed = 2

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
	if err := o.run(ctx, out); err != nil && ctx.Err() == nil {
		fmt.Fprintln(messages, "replicas:", err)
		return exitFailed
	}
	return 0
}
