package process

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a command that starts processes, and ends with its exit code. The
// command's context ends with whatever would end the program and leave those
// processes behind: an interrupt, a terminal that is closed, or a reader of its
// output who has left.
func Main(command func(ctx context.Context, args []string, out, messages io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
