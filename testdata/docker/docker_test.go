// Package docker checks the Dockerfile and the compose files with Docker's own parsers. It is a
// module of its own, so that they are no dependencies of the plugin.
package docker

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
)

const dockerfile = "../../Dockerfile"

// baseImage is the answer of a registry about each base image: an image of Linux without
// settings.
type baseImage struct{}

func (baseImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers"}}`)
	return ref, digest.FromBytes(config), config, nil
}

// lint returns the warnings of `docker build --check`.
func lint(t *testing.T, text []byte) []string {
	t.Helper()
	caps := pb.Caps.CapSet(pb.Caps.All())
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", text)
	source.Definition = new(llb.Definition)
	results, err := dockerfile2llb.DockerfileLint(t.Context(), text, dockerfile2llb.ConvertOpt{
		MetaResolver: baseImage{},
		LLBCaps:      &caps,
		SourceMap:    source,
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	if results.Error != nil {
		list = append(list, results.Error.Message)
	}
	for _, w := range results.Warnings {
		list = append(list, w.RuleName+": "+w.Detail)
	}
	return list
}

func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range lint(t, text) {
		t.Error(w)
	}
	for name, change := range map[string][2]string{
		"ConsistentInstructionCasing": {"USER ", "user "},
		"FromAsCasing":                {" AS build\n", " as build\n"},
		"UndefinedArgInFrom":          {"FROM ${BASE}", "FROM ${BASES}"},
		"unknown instruction":         {"EXPOSE ", "EXPORT "},
	} {
		list := lint(t, []byte(strings.Replace(string(text), change[0], change[1], 1)))
		if !slices.ContainsFunc(list, func(w string) bool { return strings.Contains(w, name) }) {
			t.Errorf("%q instead of %q: %v, want %s", change[1], change[0], list, name)
		}
	}
}

// load reads a compose file as `docker compose config` does: unknown fields, and references to
// services, networks, volumes and secrets that are not defined, are errors.
func load(t *testing.T, file string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithoutEnvironmentResolution)
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func TestCompose(t *testing.T) {
	files, err := filepath.Glob("../../deploy/compose/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return filepath.Base(f) == "dex.yaml" })
	if len(files) != 2 {
		t.Fatalf("compose files: %v", files)
	}
	for _, file := range files {
		project, err := load(t, file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for name, service := range project.Services {
			for _, problem := range problems(service) {
				t.Errorf("%s: %s: %s", filepath.Base(file), name, problem)
			}
		}
		for name, secret := range project.Secrets {
			if info, err := os.Stat(secret.File); err != nil {
				t.Errorf("%s: secret %s: %v", file, name, err)
			} else if info.Mode().Perm()&0o004 == 0 {
				t.Errorf("%s: secret %s has mode %v: the users of the containers cannot read it", file, name, info.Mode())
			}
		}
	}
}

// problems returns in what a service is less protected than it could be.
func problems(s types.ServiceConfig) []string {
	var list []string
	add := func(bad bool, text string) {
		if bad {
			list = append(list, text)
		}
	}
	add(!s.ReadOnly, "not read_only")
	add(!slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0, "capabilities")
	add(!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}), "no no-new-privileges")
	add(s.Privileged, "privileged")
	built := s.Build != nil || s.PullPolicy == types.PullPolicyNever // by another service
	_, tag, _ := strings.Cut(filepath.Base(s.Image), ":")
	add(!built && (tag == "" || !strings.ContainsAny(tag, ".")), "image without a version: "+s.Image)
	add(!built && (s.User == "" || strings.HasPrefix(s.User, "0") || strings.HasPrefix(s.User, "root")), "no user")
	// Those that are built have the health check of their image, except for the sandbox.
	add(!built && s.HealthCheck == nil, "no health check")
	for _, p := range s.Ports {
		add(p.HostIP != "127.0.0.1", "port "+p.Published+" is not on loopback only")
	}
	for _, v := range s.Volumes {
		_, err := os.Stat(v.Source)
		add(!v.ReadOnly || err != nil, "volume "+v.Source+" is missing or not read-only")
	}
	if s.Build != nil {
		_, err := os.Stat(filepath.Join(s.Build.Context, "Dockerfile"))
		add(err != nil, "no Dockerfile in the build context")
	}
	return list
}

// TestComposeErrors checks that load is strict.
func TestComposeErrors(t *testing.T) {
	text, err := os.ReadFile("../../deploy/compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][3]string{
		{"read_only: true", "readonly: true", "readonly"},
		{"secrets: [dex.yaml]", "secrets: [dex]", "undefined secret"},
		{"networks: [public, sites]", "networks: [public, site]", "undefined network"},
		{"condition: service_started", "condition: started", "condition"},
		{"redis: {condition", "valkey: {condition", "valkey"},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Fatalf("no %q in compose.yaml", change[0])
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, file); err == nil || !strings.Contains(err.Error(), change[2]) {
			t.Errorf("%q instead of %q: %v, want an error with %q", change[1], change[0], err, change[2])
		}
	}
}
