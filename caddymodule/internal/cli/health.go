package cli

import (
	"context"
	"io"
	"net/http"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/internal/command"
)

// maxHealth is the maximum number of bytes that are read of the response with the health.
const maxHealth = 4 << 10

// healthCommand returns the command caddy huma health.
func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health [--address <address>]",
		Short: "Prints the health of a running server, for probes",
		Long: `
Requests /huma/health from the admin endpoint of a running Caddy and prints the
response. Use it as the health check of a container without curl or wget.

Exit codes:
  0  the server can respond with tokens (ok or degraded)
  1  it cannot (unavailable), or the admin endpoint did not respond
  2  wrong usage`,
		Example: `  caddy huma health
  caddy huma health --address unix//run/caddy/admin.sock`,
	}
	address := cmd.Flags().String("address", "", "Address of the admin endpoint (default: CADDY_ADMIN in the environment, or localhost:2019)")
	command.Runs(cmd, func(_ context.Context, out io.Writer) (int, error) {
		admin, err := caddycmd.DetermineAdminAPIAddress(*address, nil, "", "")
		if err != nil {
			return command.Usage, err
		}
		response, err := caddycmd.AdminAPIRequest(admin, http.MethodGet, "/huma/health", nil, nil)
		if err != nil { // also for the status 503
			return command.Problem, err
		}
		defer func() { _ = response.Body.Close() }()
		if _, err := io.Copy(out, io.LimitReader(response.Body, maxHealth)); err != nil {
			return command.Problem, err
		}
		return command.OK, nil
	})
	return cmd
}
