package huma

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// The names of each value, in order of preference.
var (
	apiNames = []query{
		namedText("url"), namedText("apiUrl"), namedText("baseUrl"),
		namedText("host"), namedText("domain"), namedText("apiDomain"),
	}
	secretNames = []query{
		named("secret"), named("apiSecret"), named("clientSecret"), named("signingSecret"), named("key"),
	}
)

func clientNames(clientType string) []query {
	return []query{
		inContainer("clients", clientType),
		inContainer("clientIds", clientType),
		named(clientType + "ClientId"),
	}
}

// containers are the members that hold client ids by client type. Their other members,
// such as a client's own secret, are ignored.
var containers = []string{"clients", "clientids"}

// maxDepth is the maximum depth of members that are searched.
const maxDepth = 16

// leaf is a member whose value is not an object with members.
type leaf struct {
	path      []string // names as spelled in the file
	folded    []string // names after fold
	container int      // index of the outermost container in path, or -1
	value     string   // a string, or the digits of a number; empty for any other value
	number    bool
}

func (l leaf) String() string { return strings.Join(l.path, ".") }

// fold returns the form in which names are compared: clientId, client_id and CLIENT-ID
// are equal. Only ASCII letters are lowered.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '-':
			return -1
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// leaves returns the leaves of a JSON object, in the order of the file.
func leaves(object []byte) []leaf { return appendLeaves(nil, object, leaf{container: -1}) }

func appendLeaves(all []leaf, object []byte, parent leaf) []leaf {
	dec := json.NewDecoder(bytes.NewReader(object))
	_, err := dec.Token()
	empty := true
	for ; err == nil && dec.More(); empty = false {
		var (
			name  json.Token
			value json.RawMessage
		)
		if name, err = dec.Token(); err != nil {
			break
		}
		if err = dec.Decode(&value); err != nil {
			break
		}
		text, _ := name.(string)
		l := leaf{
			path:      append(slices.Clip(parent.path), text),
			folded:    append(slices.Clip(parent.folded), fold(text)),
			container: parent.container,
		}
		if value[0] == '{' && len(l.path) < maxDepth {
			if l.container < 0 && slices.Contains(containers, fold(text)) {
				l.container = len(parent.path)
			}
			all = appendLeaves(all, value, l)
			continue
		}
		l.value, l.number = wire.TextOrNumber(value), value[0] != '"'
		all = append(all, l)
	}
	if empty && len(parent.path) > 0 {
		all = append(all, parent)
	}
	return all
}

// query returns the rank of a leaf as the place of a value: the lowest rank is
// preferred, and -1 means no match.
type query func(l leaf) (rank int)

// named matches members with the name, except below a container. The shallowest is
// preferred.
func named(name string) query {
	folded := fold(name)
	return func(l leaf) int {
		if l.container >= 0 || l.folded[len(l.folded)-1] != folded {
			return -1
		}
		return len(l.folded)
	}
}

// namedText is named, but does not match numbers.
func namedText(name string) query {
	find := named(name)
	return func(l leaf) int {
		if l.number {
			return -1
		}
		return find(l)
	}
}

// beside matches members with the name in objects that also have a member called other.
func beside(all []leaf, name, other string) query {
	find, hasOther := named(name), named(other)
	return func(l leaf) int {
		siblings := func(o leaf) bool {
			return hasOther(o) >= 0 && slices.Equal(o.path[:len(o.path)-1], l.path[:len(l.path)-1])
		}
		if !slices.ContainsFunc(all, siblings) {
			return -1
		}
		return find(l)
	}
}

// inContainer matches the id of a client in containers with the given name: the member
// itself, or its clientId, or else its id. The shallowest container is preferred.
func inContainer(container, clientType string) query {
	container = fold(container)
	return func(l leaf) int {
		if l.container < 0 || l.folded[l.container] != container {
			return -1
		}
		below := l.folded[l.container+1:]
		switch {
		case len(below) == 0 || below[0] != clientType:
			return -1
		case len(below) == 1, len(below) == 2 && below[1] == "clientid":
			return 2 * l.container
		case len(below) == 2 && below[1] == "id":
			return 2*l.container + 1
		}
		return -1
	}
}

// pick returns the value with the best rank of the first query that matches a value.
// Two different values of this rank are an error that names their places.
func pick(all []leaf, queries []query) (string, error) {
	for _, find := range queries {
		var (
			best *leaf
			rank int
			err  error
		)
		for i, l := range all {
			r := find(l)
			if r < 0 || l.value == "" || best != nil && r > rank {
				continue
			}
			switch {
			case best == nil || r < rank:
				best, rank, err = &all[i], r, nil
			case l.value != best.value && err == nil:
				err = fmt.Errorf("%s and %s have different values", best, l)
			}
		}
		if err != nil {
			return "", err
		}
		if best != nil {
			return best.value, nil
		}
	}
	return "", nil
}
