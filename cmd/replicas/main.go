// Command replicas demonstrates replicas of a site that share tokens in Redis.
//
//	go run ./cmd/replicas
//
// It builds the real binary and runs three replicas of Caddy with the Caddyfile in this
// directory, a redis-server that they share, a load balancer, and the sandbox in place of
// Huma. All of them listen on loopback addresses. It prints commands to try, and then the
// log messages of the replicas. Ctrl-C stops all processes.
//
// It exits with 2 if it failed.
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

// options are the flags.
type options struct {
	balancer int
	sandbox  int
	replicas ports
	redis    string

	caddy string // Empty: build it
}

// ports is a flag with the port of each replica, separated by commas.
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
			return fmt.Errorf("%q is not a port", word)
		}
		*p = append(*p, int(port))
	}
	return nil
}

// parse parses the flags. Errors are also written to messages.
func parse(args []string, messages io.Writer) (options, error) {
	o := options{replicas: ports{8091, 8092, 8093}}
	f := flag.NewFlagSet("replicas", flag.ContinueOnError)
	f.SetOutput(messages)
	f.Usage = func() {
		fmt.Fprint(messages, "Usage: replicas [flags]\n\nRuns replicas of a site that share tokens in Redis, on loopback addresses, and prints\ncommands to try. Ctrl-C stops all processes.\n\n")
		f.PrintDefaults()
	}
	f.IntVar(&o.balancer, "balancer", 8080, "`port` of the load balancer")
	f.IntVar(&o.sandbox, "sandbox", 8081, "`port` of the sandbox")
	f.Var(&o.replicas, "replicas", "`port,port,…` of the replicas; their number is the number of ports")
	f.StringVar(&o.redis, "redis", "", "`host:port` of an existing Redis without a password, which is neither stopped nor flushed (default: start one on a free port)")
	f.StringVar(&o.caddy, "caddy", "", "`file` of a Caddy binary with the plugin, its store module redis and the sandbox (default: build it)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	err := o.check()
	if f.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("unexpected argument %q", f.Arg(0)))
	}
	if err != nil {
		fmt.Fprintln(messages, err)
	}
	return o, err
}

// check returns an error if a flag is invalid.
func (o *options) check() error {
	if o.redis == "" {
		return nil
	}
	if host, port, err := net.SplitHostPort(o.redis); err != nil || host == "" || port == "" {
		return fmt.Errorf("-redis: %q is not host:port", o.redis)
	}
	return nil
}

// exitFailed is the exit code if the program failed.
const exitFailed = 2

func main() { process.Main(command) }

// command runs the program and returns its exit code.
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
