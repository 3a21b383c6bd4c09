package openapi

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// volatile are the members whose values differ with each run: of these, only the types are
// compared, and -update keeps the values in the document.
var volatile = []string{
	"uid", "authToken", "authTokenExpiresIn", "refreshToken", "refreshTokenExpiresIn", "expiresIn",
	"token", "session_token", "id_token", "expires_in", "human_id",
	"users", "loaded", "age_seconds",
}

// storeError is the error of the client of the shared store, which depends on the time.
var storeError = regexp.MustCompile(`shared store unavailable: [^"]*`)

// withoutPorts replaces, in the body of a response, the addresses that differ with each run
// by those of an ordinary config, and removes the error of the shared store's client.
func (c *caddy) withoutPorts(body string) string {
	_, port, _ := strings.Cut(c.sites, ":")
	body = strings.NewReplacer(appHost+":"+port, appHost, c.sites, "localhost:8081").Replace(body)
	return storeError.ReplaceAllString(body, "shared store unavailable")
}

// equal reports whether a response and an example are equal, except for the values of
// volatile members. name is that of the member, or empty.
func equal(name string, got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for name, w := range want {
			if g, ok := got[name]; !ok || !equal(name, g, w) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		return ok && slices.EqualFunc(got, want, func(g, w any) bool { return equal(name, g, w) })
	}
	if slices.Contains(volatile, name) {
		return fmt.Sprintf("%T", got) == fmt.Sprintf("%T", want)
	}
	return got == want
}

// compare compares a response with an example. With -update, it writes the response there.
func (d *document) compare(t *testing.T, name string, body string) {
	t.Helper()
	var got any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	want := d.value(t, name)
	switch {
	case equal("", got, want):
	case *update:
		d.write(t, name, body, want)
	default:
		text, _ := json.Marshal(want)
		t.Errorf("the example %s differs from the response; -update writes it. Response:\n%s\nExample:\n%s", name, body, text)
	}
}

// write replaces the value of an example in the document by a response. Values of volatile
// members that are in old stay.
func (d *document) write(t *testing.T, name, body string, old any) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(body), &n); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	keep(n.Content[0], "", old)
	lines := strings.Split(string(d.text), "\n")
	start := slices.Index(lines, "  examples:")
	for _, line := range []string{"    " + name + ":", "      value:"} {
		next := slices.IndexFunc(lines[start:], func(l string) bool { return strings.HasPrefix(l, line) })
		if next < 0 {
			t.Fatalf("no line %q", line)
		}
		start += next
	}
	end := start + 1
	for end < len(lines) && strings.HasPrefix(lines[end], exampleIndent) {
		end++
	}
	value := append([]string{"      value:"}, render(n.Content[0], exampleIndent)...)
	d.text = []byte(strings.Join(slices.Replace(lines, start, end, value...), "\n"))
	d.root = nil
	if err := yaml.Unmarshal(d.text, &d.root); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(documentFile, d.text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// keep replaces the values of volatile members in n by those in old of the same type.
// name is that of the member, or empty.
func keep(n *yaml.Node, name string, old any) {
	switch n.Kind {
	case yaml.MappingNode:
		members, _ := old.(map[string]any)
		for i := 0; i < len(n.Content); i += 2 {
			keep(n.Content[i+1], n.Content[i].Value, members[n.Content[i].Value])
		}
	case yaml.SequenceNode:
		items, _ := old.([]any)
		for i, item := range n.Content[:min(len(n.Content), len(items))] {
			keep(item, name, items[i])
		}
	case yaml.ScalarNode:
		var value any
		if slices.Contains(volatile, name) && n.Decode(&value) == nil {
			switch old := old.(type) {
			case string:
				if _, ok := value.(string); ok {
					n.Value = old
				}
			case float64:
				if _, ok := value.(int); ok {
					n.Value = strconv.FormatFloat(old, 'f', -1, 64)
				}
			}
		}
	}
}

const (
	exampleIndent = "        "
	maxColumns    = 100
)

// render returns the lines of a YAML object or list. Long texts are folded.
func render(n *yaml.Node, indent string) (lines []string) {
	step := 2
	if n.Kind == yaml.SequenceNode {
		step = 1
	}
	for i := 0; i+step <= len(n.Content); i += step {
		key, v := "- ", n.Content[i+step-1]
		if step == 2 {
			key = n.Content[i].Value + ":"
		}
		switch {
		case v.Kind != yaml.ScalarNode && step == 1: // the first line follows the dash
			item := render(v, indent+"  ")
			item[0] = indent + key + strings.TrimSpace(item[0])
			lines = append(lines, item...)
		case v.Kind != yaml.ScalarNode:
			lines = append(append(lines, indent+key), render(v, indent+"  ")...)
		default:
			lines = append(lines, scalar(indent+strings.TrimSpace(key)+" ", v, indent+"  ")...)
		}
	}
	return lines
}

// scalar returns the lines of a member or an item.
func scalar(key string, v *yaml.Node, indent string) []string {
	text, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: v.Tag, Value: v.Value})
	if err != nil {
		panic(err) // a scalar cannot fail
	}
	line := key + strings.TrimSpace(string(text))
	words := strings.Fields(v.Value)
	if v.Tag != "!!str" || len(line) <= maxColumns || strings.Join(words, " ") != v.Value {
		return []string{line}
	}
	lines := []string{key + ">-", indent + words[0]}
	for _, word := range words[1:] {
		last := &lines[len(lines)-1]
		if len(*last)+1+len(word) > maxColumns {
			lines = append(lines, indent+word)
		} else {
			*last += " " + word
		}
	}
	return lines
}
