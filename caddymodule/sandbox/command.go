package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "huma-sandbox",
		Usage: "[--listen <address>] [--user <address>...] [--edition <name>] [--json]",
		Short: "Runs a fake of Huma and of Human API Connect for development and tests",
		Long: `
Runs a fake of Huma's Integration API and of Human API Connect on one local address,
and prints the credentials that it accepts. Sign-in of an unknown user fails, sign-up
creates the user, and signatures, headers and bodies are validated. The page at /
shows the calls. Faults such as errors, delays and resets are set under /_sandbox/.

Every client that can connect can read and change all data in the sandbox. Therefore
it listens on loopback addresses only, unless --allow-remote is given. Stop it with
Ctrl-C. All data is in memory and is lost then.

Exit codes:
  0  stopped by a signal
  1  cannot listen, or cannot print
  2  wrong usage`,
		CobraFunc: configureCommand,
	})
}

// configureCommand sets the flags, the examples and the function of the command.
func configureCommand(cmd *cobra.Command) {
	cmd.Example = `  caddy huma-sandbox
  caddy huma-sandbox --listen 127.0.0.1:0 --user alice@clinic.example
  caddy huma-sandbox --edition oldest
  caddy huma-sandbox --json`
	var s standalone
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:9000", "The host:port to listen on; port 0 selects a free port")
	f.StringArrayVar(&s.users, "user", nil, "The email address of an existing Huma user; repeatable")
	f.StringVar(&s.edition, "edition", config.EditionNewest, "The edition of Huma's guide whose API is played: newest, middle or oldest")
	f.BoolVar(&s.allowRemote, "allow-remote", false, "Allow a listen address that is not loopback")
	f.BoolVar(&s.json, "json", false, "Print the credentials as JSON")
	command.Runs(cmd, s.run)
}

// standalone is the command huma-sandbox: a sandbox without a Caddy config. Its fields
// are the flags.
type standalone struct {
	listen, edition   string
	users             []string
	allowRemote, json bool
}

const (
	// shutdownTimeout is how long requests in progress may take after the command was
	// stopped.
	shutdownTimeout = 2 * time.Second

	// headerTimeout is how long a client may take to send the headers of a request.
	headerTimeout = 10 * time.Second
)

// run serves the sandbox until ctx is canceled or the process gets SIGINT or SIGTERM.
func (s *standalone) run(ctx context.Context, out io.Writer) (int, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := config.Complete(Config{Edition: s.edition, Users: s.users})
	if err != nil {
		return command.Usage, err
	}
	if err := s.checkAddress(); err != nil {
		return command.Usage, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return command.Problem, err
	}
	srv := &http.Server{Handler: New(cfg), ReadHeaderTimeout: headerTimeout}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	if err := s.printBanner(out, cfg, l.Addr()); err != nil {
		_ = srv.Close()
		return command.Problem, err
	}
	select {
	case err := <-served:
		return command.Problem, err
	case <-ctx.Done():
	}
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(shutdownCtx); errors.Is(err, context.DeadlineExceeded) {
		_ = srv.Close()
	}
	return command.OK, nil
}

// checkAddress rejects listen addresses that are not loopback, unless --allow-remote is
// given.
func (s *standalone) checkAddress() error {
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return command.UsageError("--listen: %q is not host:port", s.listen)
	}
	ip, err := netip.ParseAddr(host)
	if s.allowRemote || host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return command.UsageError("--listen: %q is not a loopback address, and every client that connects can read and change all data in the sandbox; listen on 127.0.0.1, or add --allow-remote", s.listen)
}
