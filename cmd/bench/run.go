package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// bench starts everything, measures, and stops it again.
func (o options) bench(ctx context.Context, messages io.Writer) (_ *Report, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if o.caddy, err = process.Binary(ctx, o.caddy, dir, messages); err != nil {
		return nil, err
	}
	service, err := newService(ctx, o.users)
	if err != nil {
		return nil, err
	}
	defer service.close()
	s, err := newSites(ctx)
	if err != nil {
		return nil, err
	}
	// What respond answers is known once there was a token: Caddy starts twice.
	var static template
	err = o.with(ctx, dir, s, service, static, func(*process.Process) error {
		static, err = firstAnswer(ctx, s.warm)
		return err
	})
	if err != nil {
		return nil, err
	}
	var report *Report
	err = o.with(ctx, dir, s, service, static, func(caddy *process.Process) error {
		fmt.Fprintf(messages, "Caddy %d, admin endpoint http://%s …\n", caddy.PID(), s.admin)
		calls, err := service.during(func() error { return askAll(ctx, s.warm, o.users) })
		if err != nil {
			return fmt.Errorf("ask for every user: %w", err)
		}
		b := bench{o, service, caddy}
		report, err = b.measure(ctx, o.kinds(s, service.address, calls), messages)
		return err
	})
	return report, err
}

// with runs Caddy while f does its work.
func (o options) with(ctx context.Context, dir string, s sites, service *service, static template, f func(*process.Process) error) error {
	config, err := s.config(service.address, static)
	if err != nil {
		return err
	}
	caddy, err := process.Start(ctx, process.Config{Binary: o.caddy, Dir: dir, JSON: config, Site: s.respond, Admin: s.admin})
	if err != nil {
		return err
	}
	err = f(caddy)
	if stopped := caddy.Stop(); stopped != nil {
		err = errors.Join(err, fmt.Errorf("caddy ended with: %w", stopped))
	}
	return err
}

// firstAnswer asks for a token, to have more answers like it.
func firstAnswer(ctx context.Context, address string) (template, error) {
	clients, err := dial(ctx, address, 1)
	if err != nil {
		return template{}, err
	}
	defer hangUp(clients)
	header, size, err := clients[0].answer(asks(address, 1)[0], io.Discard)
	if err != nil {
		return template{}, fmt.Errorf("first token: %w", err)
	}
	return templateOf(header, size), nil
}

// askAll asks once for every user.
func askAll(ctx context.Context, address string, users int) error {
	clients, err := dial(ctx, address, 1)
	if err != nil {
		return err
	}
	defer hangUp(clients)
	for _, request := range asks(address, users) {
		if err := clients[0].ask(request); err != nil {
			return err
		}
	}
	return nil
}
