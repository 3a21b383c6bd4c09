package tool

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a command that starts processes, and exits with its exit code. The context of
// the command is canceled by SIGINT, SIGTERM, SIGHUP and SIGPIPE, so that it can stop
// its processes when the user presses Ctrl-C, closes the terminal, or closes the pipe
// that reads its output.
func Main(command func(ctx context.Context, args []string, out, messages io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
