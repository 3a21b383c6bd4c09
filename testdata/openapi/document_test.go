package openapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	"go.yaml.in/yaml/v4"
)

const documentFile = "../../docs/openapi.yaml"

// object is an object of the document.
type object = map[string]any

// document is docs/openapi.yaml.
type document struct {
	text []byte
	root object

	// requests and responses validate both. In responses, all headers and members must be in
	// the document, except for Server, which Caddy adds to each.
	requests, responses validator.Validator
}

// operation is an operation of the document.
type operation struct {
	path, method, id string
	hasClientType    bool
	responses        []documented
}

func (op *operation) isAdmin() bool { return strings.HasPrefix(op.path, "/huma/") }

// documented is a response of the document.
type documented struct {
	status   int
	name     string    // in the components
	headers  []string  // canonical names
	examples []example // nil if it has no body
}

// example is an example of a response.
type example struct {
	code string // the name in the response
	name string // in the components
}

// readDocument reads the document. It must be valid OpenAPI 3.1.
func readDocument(t *testing.T) *document {
	t.Helper()
	text, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	d := &document{text: text}
	if err := yaml.Unmarshal(text, &d.root); err != nil {
		t.Fatal(err)
	}
	parsed, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	newValidator := func(options ...config.Option) validator.Validator {
		v, errs := validator.NewValidator(parsed, options...)
		for _, err := range errs {
			t.Fatal(err)
		}
		return v
	}
	d.requests = newValidator(config.WithFormatAssertions(), config.WithURLEncodedBodyValidation(), config.WithRejectUndeclaredRequestBody())
	d.responses = newValidator(config.WithFormatAssertions(), config.WithStrictMode(), config.WithStrictIgnoredHeadersExtra("Server"))
	if ok, errs := d.requests.ValidateDocument(); !ok {
		t.Fatal("the document is not valid OpenAPI 3.1: " + join(errs))
	}
	return d
}

// join returns the errors of the validator as text.
func join(errs []*errors.ValidationError) string {
	var lines []string
	for _, err := range errs {
		lines = append(lines, err.Message+": "+err.Reason)
		for _, s := range err.SchemaValidationErrors {
			lines = append(lines, "\t"+s.Reason)
		}
	}
	return strings.Join(lines, "\n")
}

// resolve returns the object to which a reference in the document leads, and its name in
// the components. The name of an object that is not a reference is empty.
func (d *document) resolve(t *testing.T, v any) (object, string) {
	t.Helper()
	o, _ := v.(object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o, ""
	}
	path := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	o = d.root
	for _, name := range path {
		if o, ok = o[name].(object); !ok {
			t.Fatalf("%s does not exist", ref)
		}
	}
	return o, path[len(path)-1]
}

// operations returns the operations of the document, sorted by path and method.
func (d *document) operations(t *testing.T) (all []*operation) {
	t.Helper()
	paths := d.root["paths"].(object)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(object)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			o, ok := item[method].(object)
			if id, _ := o["operationId"].(string); ok && id != "" {
				op := &operation{path: path, method: strings.ToUpper(method), id: id, responses: d.documented(t, o)}
				for _, p := range list(o["parameters"]) {
					p, _ := d.resolve(t, p)
					op.hasClientType = op.hasClientType || p["name"] == "client_type"
				}
				all = append(all, op)
			}
		}
	}
	return all
}

// documented returns the responses of an operation.
func (d *document) documented(t *testing.T, operation object) (all []documented) {
	t.Helper()
	responses := operation["responses"].(object)
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		o, name := d.resolve(t, responses[status])
		r := documented{name: name}
		r.status, _ = strconv.Atoi(status)
		headers, _ := o["headers"].(object)
		for header := range headers {
			r.headers = append(r.headers, http.CanonicalHeaderKey(header))
		}
		content, _ := o["content"].(object)
		for _, media := range content {
			examples, _ := media.(object)["examples"].(object)
			for _, code := range slices.Sorted(maps.Keys(examples)) {
				_, name := d.resolve(t, examples[code])
				r.examples = append(r.examples, example{code, name})
			}
		}
		if content != nil && len(r.examples) == 0 {
			t.Errorf("the response %s has no example", name)
		}
		all = append(all, r)
	}
	return all
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// value returns the value of an example in the components, as encoding/json decodes it.
func (d *document) value(t *testing.T, name string) (v any) {
	t.Helper()
	o, _ := d.resolve(t, object{"$ref": "#/components/examples/" + name})
	text, err := json.Marshal(o["value"])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// codes returns the closed list of error codes.
func (d *document) codes(t *testing.T) (all []string) {
	t.Helper()
	o, _ := d.resolve(t, object{"$ref": "#/components/schemas/ErrorCode"})
	for _, code := range list(o["enum"]) {
		all = append(all, code.(string))
	}
	return all
}
