package cli

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// completeValues makes the shell complete the values of the flags that have a fixed set
// of values, in all subcommands of cmd. (caddy completion prints the script for the
// shell.)
func completeValues(cmd *cobra.Command) {
	values := map[string][]string{
		"preset":      presets.Names(),
		"directive":   endpoint.DirectiveNames(),
		"client-type": clienttype.All,
		"adapter":     adapters(),
		"service":     {endpoint.Huma.Name, endpoint.HumanAPI.Name},
	}
	for _, sub := range cmd.Commands() {
		for flag, values := range values {
			if sub.Flags().Lookup(flag) != nil {
				command.CompleteValues(sub, flag, values...)
			}
		}
	}
}

// adapters returns the names of the config adapters.
func adapters() (names []string) {
	for _, m := range caddy.GetModules("caddy.adapters") {
		names = append(names, m.ID.Name())
	}
	return names
}

// completePreset completes the argument of caddy huma presets.
func completePreset(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return presets.Names(), cobra.ShellCompDirectiveNoFileComp
}
