package huma

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// The names under which a value may stand, the best one first.
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

// containers are the members that hold client ids by client type. What else
// they hold (a client's own secret, perhaps) is not meant for us.
var containers = []string{"clients", "clientids"}

// maxDepth is how deep members are looked for.
const maxDepth = 16

// leaf is a member that is not an object with members.
type leaf struct {
	path      []string // the names as they are spelled
	folded    []string // the same names, folded
	container int      // where the outermost container stands in path; -1: in none
	value     string   // a text, or a number's digits; empty for anything else
	number    bool
}

func (l leaf) String() string { return strings.Join(l.path, ".") }

// fold is the form in which names are compared: clientId, client_id and
// CLIENT-ID are one name. Only ASCII letters are lowered.
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

// leaves returns the leaves of a JSON object, in their order.
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

// query says how good a place for a value a leaf is: the lowest rank is the
// best one, and -1 is none.
type query func(l leaf) (rank int)

// named finds members of that name anywhere, the shallowest first, except
// below a container.
func named(name string) query {
	folded := fold(name)
	return func(l leaf) int {
		if l.container >= 0 || l.folded[len(l.folded)-1] != folded {
			return -1
		}
		return len(l.folded)
	}
}

// namedText is named without numbers.
func namedText(name string) query {
	find := named(name)
	return func(l leaf) int {
		if l.number {
			return -1
		}
		return find(l)
	}
}

// beside finds members of that name in objects that have a member of another
// name, too.
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

// inContainer finds a client's id in containers of that name, the shallowest
// container first: the member itself, or its clientId, or else its id.
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

// pick returns the value that the first query with a result ranks best. Two
// different ones of the same rank are an error that names their places.
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
				err = fmt.Errorf("%s and %s differ", best, l)
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
