package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// startOptions are those of the comparison of starts.
type startOptions struct {
	rounds        int
	with, without string
	stripped      bool
}

func (o *startOptions) about() string {
	return "bench start [flags]\n\nCompares the start and the size of Caddy with the plugin and without it."
}

func (o *startOptions) bind(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 25, "how many `pairs` of starts are measured")
	f.StringVar(&o.with, "with", "", "`file` of a Caddy with the plugin, and")
	f.StringVar(&o.without, "without", "", "`file` of one without it (default: both are built, as xcaddy does)")
	f.BoolVar(&o.stripped, "stripped", true, "build both without symbols too, for their size: it may take minutes the first time")
}

func (o *startOptions) check() error {
	var errs []error
	if o.rounds < 1 {
		errs = append(errs, errors.New("-rounds must be above 0"))
	}
	if (o.with == "") != (o.without == "") {
		errs = append(errs, errors.New("-with and -without: both or none"))
	}
	return errors.Join(errs...)
}

// run implements mode.
func (o *startOptions) run(ctx context.Context, messages io.Writer) (_ report, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &StartReport{Machine: process.Machine()}
	with, without := o.with, o.without
	if with == "" {
		if with, without, err = o.build(ctx, dir, r, messages); err != nil {
			return nil, err
		}
	} else if err := r.size("as given", with, without); err != nil {
		return nil, err
	}
	return r, o.measure(ctx, dir, with, without, r, messages)
}

// plugin is what makes a Caddy one with the plugin.
const plugin = "github.com/caddy-huma/caddy-huma/caddymodule"

// build makes both as xcaddy does, and returns those with symbols.
func (o *startOptions) build(ctx context.Context, dir string, r *StartReport, messages io.Writer) (with, without string, err error) {
	ways := []struct {
		how   string
		flags []string
	}{
		{"go build", nil},
		{"go build -trimpath -ldflags '-s -w'", []string{"-trimpath", "-ldflags=-s -w"}},
	}
	if !o.stripped {
		ways = ways[:1]
	}
	for i, way := range ways {
		fmt.Fprintf(messages, "building both Caddys: %s …\n", way.how)
		a, b := filepath.Join(dir, fmt.Sprint("with", i)), filepath.Join(dir, fmt.Sprint("without", i))
		if err := errors.Join(buildCaddy(ctx, a, plugin, way.flags), buildCaddy(ctx, b, "", way.flags), r.size(way.how, a, b)); err != nil {
			return "", "", err
		}
		if i == 0 {
			with, without = a, b
		}
	}
	return with, without, nil
}

// buildCaddy makes a Caddy with its standard modules and perhaps a plugin.
func buildCaddy(ctx context.Context, file, plugin string, flags []string) error {
	text := "package main\n\nimport (\n\tcaddycmd \"github.com/caddyserver/caddy/v2/cmd\"\n\n\t_ \"github.com/caddyserver/caddy/v2/modules/standard\"\n"
	if plugin != "" {
		text += fmt.Sprintf("\n\t_ %q\n", plugin)
	}
	source := file + ".go"
	if err := os.WriteFile(source, []byte(text+")\n\nfunc main() { caddycmd.Main() }\n"), 0o600); err != nil {
		return err
	}
	return process.BuildOf(ctx, file, source, flags...)
}

// measure starts both in turn, each as often first as the other.
func (o *startOptions) measure(ctx context.Context, dir, with, without string, r *StartReport, messages io.Writer) error {
	var site, admin string
	if err := findPorts(ctx, &site, &admin); err != nil {
		return err
	}
	cfg := process.Config{Dir: dir, Sites: []string{site}, Caddyfile: fmt.Sprintf(startCaddyfile, admin, site)}
	for round := range o.rounds + 1 {
		var pair Pair
		order := []struct {
			file string
			to   *Start
		}{{with, &pair.With}, {without, &pair.Without}}
		if round%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, s := range order {
			var err error
			cfg.Binary = s.file
			if *s.to, err = startOnce(ctx, cfg); err != nil {
				return err
			}
		}
		if round > 0 { // the first is for the files to be in memory
			r.Pairs = append(r.Pairs, pair)
			fmt.Fprintf(messages, "pair %d of %d\n", round, o.rounds)
		}
	}
	r.conclude()
	return nil
}

// startCaddyfile is what both start with.
const startCaddyfile = `{
	admin %s
	persist_config off
}

http://%s {
	respond OK
}
`

// startOnce starts a Caddy and tells how long it took until it has answered once.
func startOnce(ctx context.Context, cfg process.Config) (s Start, err error) {
	began := time.Now()
	err = with(ctx, cfg, func(p *process.Process) error {
		clients, err := dial(ctx, cfg.Sites[0], 1)
		if err != nil {
			return err
		}
		defer hangUp(clients)
		if err := clients[0].ask(http.StatusOK, clients[0].request(cfg.Sites[0], 0)); err != nil {
			return err
		}
		s = Start{Wall: millis(time.Since(began)), CPU: unknown}
		if used, err := p.CPU(); err == nil {
			s.CPU = millis(used)
		}
		return nil
	})
	return s, err
}
