package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// plugin is the import path of the plugin.
const plugin = "github.com/caddy-huma/caddy-huma"

// start compares Caddy with and without the plugin.
func (o *options) start(ctx context.Context, dir string, messages io.Writer) (*tool.Report, error) {
	if o.caddy == "" {
		fmt.Fprintln(messages, "building Caddy with and without the plugin …")
		o.caddy, o.without = filepath.Join(dir, "with"), filepath.Join(dir, "without")
		if err := errors.Join(buildCaddy(ctx, o.caddy, plugin), buildCaddy(ctx, o.without, "")); err != nil {
			return nil, err
		}
	}
	const without = "without the plugin"
	return measure(ctx, o.rounds, without, []candidate{
		{without, func(ctx context.Context) (tool.Values, error) { return startOnce(ctx, dir, o.without) }},
		{"with the plugin", func(ctx context.Context) (tool.Values, error) { return startOnce(ctx, dir, o.caddy) }},
	}, messages)
}

// buildCaddy builds a stripped Caddy with its standard modules and a plugin, as xcaddy
// does. If plugin is empty, there is none.
func buildCaddy(ctx context.Context, file, plugin string) error {
	text := "package main\n\nimport (\n\tcaddycmd \"github.com/caddyserver/caddy/v2/cmd\"\n\t_ \"github.com/caddyserver/caddy/v2/modules/standard\"\n"
	if plugin != "" {
		text += fmt.Sprintf("\t_ %q\n", plugin)
	}
	source := file + ".go"
	if err := os.WriteFile(source, []byte(text+")\n\nfunc main() { caddycmd.Main() }\n"), 0o600); err != nil {
		return err
	}
	return process.BuildOf(ctx, file, source, "-ldflags=-s -w")
}

// startOnce starts Caddy and measures the time to its first response.
func startOnce(ctx context.Context, dir, file string) (values tool.Values, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	const site = "start"
	began := time.Now()
	p, at, err := startCaddy(ctx, file, dir, map[string]string{site: "respond OK"})
	if err != nil {
		return nil, err
	}
	defer stop(p, &err)
	if _, err := firstResponse(ctx, at[site]); err != nil {
		return nil, err
	}
	values = tool.Values{valueSize: float64(info.Size()) / (1 << 20), valueFirst: tool.Millis(time.Since(began))}
	if used, err := p.CPU(); err == nil {
		values[valueStartCPU] = tool.Millis(used)
	}
	return values, nil
}
