// Package schema checks the files of testdata/sidecar for software that the tests do not run
// against the types, or the documentation, of that software.
package schema

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/traefik/traefik/v3/pkg/version" // the module with the documentation
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// edits are changes after which a file must not be accepted any more: a misspelled option of
// each file, and a value of a wrong type.
type edits map[string]string

// check checks that a file is accepted, and that it is not with any of the edits.
func (e edits) check(t *testing.T, name string, accept func(text string) error) {
	t.Helper()
	text := read(t, filepath.Join("..", name))
	if err := accept(text); err != nil {
		t.Fatal(err)
	}
	for old, edit := range e {
		edited := strings.Replace(text, old, edit, 1)
		if edited == text {
			t.Fatalf("%s does not contain %q", name, old)
		}
		if accept(edited) == nil {
			t.Errorf("%s is accepted with %q", name, edit)
		}
	}
}

// TestEnvoy decodes envoy.yaml, and checks the rules of its types.
func TestEnvoy(t *testing.T) {
	edits{
		"failure_mode_allow: false": "failure_mode_deny: true", // within a message of the type Any
		"connect_timeout: 2s":       "connect_timeouts: 2s",
		"stat_prefix: https":        `stat_prefix: ""`, // breaks a rule
		"cluster_name: sidecar":     `cluster_name: ""`,
	}.check(t, "envoy.yaml", func(text string) error {
		b, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			return err
		}
		var config bootstrap.Bootstrap
		if err := protojson.Unmarshal(b, &config); err != nil {
			return err
		}
		return validate(&config)
	})
}

// validate checks the rules of a message and of all messages in it. ValidateAll does not
// check those of the type Any.
func validate(m proto.Message) error {
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			return err
		}
	}
	if packed, ok := m.(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		return validate(inner)
	}
	var err error
	visit := func(v protoreflect.Value) {
		if err == nil {
			err = validate(v.Message().Interface())
		}
	}
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { visit(v); return err == nil })
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				visit(v.List().Get(i))
			}
		case f.Message() != nil && !f.IsMap():
			visit(v)
		}
		return err == nil
	})
	return err
}

// TestTraefik checks that each option of Traefik's files is in the list of all options in
// Traefik's documentation. Traefik's own types need the SDKs of all its providers.
func TestTraefik(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/traefik/traefik/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		reference string
		edits     edits
	}{
		"traefik.yaml": {"static-configuration", edits{"filename": "file_name", "insecure: false": "unsafe: false", "address": "addresses"}},
		"traefik-dynamic.yaml": {"dynamic-configuration", edits{
			"authResponseHeaders": "authResponsesHeaders", "customRequestHeaders:": "customRequestsHeaders:", "passHostHeader: true": "passHost: true",
			"middlewares: [": "middleware: [", "loadBalancer:": "loadBalancers:",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var all any
			reference := filepath.Join(strings.TrimSpace(string(out)), "docs/content/reference", test.reference, "file.yaml")
			if err := yaml.Unmarshal([]byte(read(t, reference)), &all); err != nil {
				t.Fatal(err)
			}
			test.edits.check(t, name, func(text string) error {
				var config any
				if err := yaml.Unmarshal([]byte(text), &config); err != nil {
					return err
				}
				return subset(config, all, "")
			})
		})
	}
}

// undocumented is an option that the documentation does not list.
type undocumented string

func (u undocumented) Error() string { return string(u) + " is not documented" }

// example matches the names in the documentation that stand for names of the user.
var example = regexp.MustCompile(`^(EntryPoint|Router|Service|Middleware|name)\d+$`)

// subset checks that each member of config is in all.
func subset(config, all any, path string) error {
	if list, ok := config.([]any); ok {
		documented, _ := all.([]any)
		for _, v := range list {
			if len(documented) == 0 {
				return undocumented(path + " as a list")
			}
			if err := subset(v, documented[0], path); err != nil {
				return err
			}
		}
		return nil
	}
	members, ok := config.(map[string]any)
	if !ok {
		return nil
	}
	documented, _ := all.(map[string]any)
	examples := make(map[string]any) // the members of all examples
	free := false
	for name, value := range documented {
		if example.MatchString(name) {
			free = true
			inner, _ := value.(map[string]any)
			maps.Copy(examples, inner)
		}
	}
	for name, value := range members {
		known, found := documented[name]
		if !found && free {
			known, found = examples, true
		}
		if !found {
			return undocumented(path + "/" + name)
		}
		if err := subset(value, known, path+"/"+name); err != nil {
			return err
		}
	}
	return nil
}
