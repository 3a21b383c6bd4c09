package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// endpointFile is the endpoint of Huma's quick start, in this repository.
const endpointFile = "testdata/quickstart/endpoint.py"

// findPython says what is missing before anything else is done.
func findPython() (string, error) {
	file, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("-only %s: python3 is needed for it: %w", kindPython, err)
	}
	return file, nil
}

// withPython runs the endpoint while f does its work.
func (c *comparison) withPython(ctx context.Context, python string, f func() error) error {
	if err := findPorts(ctx, &c.pythonSite); err != nil {
		return err
	}
	// Like Build, it is for the module in whose directory this runs.
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find %s: %w", endpointFile, err)
	}
	config := filepath.Join(c.dir, "huma-config.json")
	text, err := json.Marshal(object{
		"url": "http://" + c.service.address, "projectId": projectID, "deploymentId": deploymentID,
		"clients": object{"ios": clientID}, "secret": secret,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	return with(ctx, process.Config{
		Binary: python, Dir: c.dir, Sites: []string{c.pythonSite},
		Args: []string{filepath.Join(strings.TrimSpace(string(module)), filepath.FromSlash(endpointFile)), c.pythonSite, userHeader, config},
	}, func(p *process.Process) error {
		c.python = p
		return f()
	})
}
