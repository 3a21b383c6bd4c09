package claims

import (
	"errors"
	"strconv"
	"strings"
)

// Path leads to a value in a document: the names of members and the indices of list
// elements, outermost first.
type Path []string

// Errors of a path.
var (
	errEmptyStep = errors.New("empty member name: separate names with single dots, such as user.email")
	errEscape    = errors.New(`invalid escape: write \. for a dot within a name, "\ " for a space, and \\ for a backslash`)
)

// ParsePath parses a path: steps separated by dots, such as user.email or data.0.email.
// A dot within a name is written \. and a backslash \\. A space may be written "\ ".
// That is necessary where several paths are separated by spaces.
func ParsePath(text string) (Path, error) {
	var (
		path Path
		step strings.Builder
	)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			i++
			if i == len(text) || !strings.ContainsRune(`. \`, rune(text[i])) {
				return nil, errEscape
			}
			step.WriteByte(text[i])
		case '.':
			if step.Len() == 0 {
				return nil, errEmptyStep
			}
			path = append(path, step.String())
			step.Reset()
		default:
			step.WriteByte(c)
		}
	}
	if step.Len() == 0 {
		return nil, errEmptyStep
	}
	return append(path, step.String()), nil
}

// Lookup returns the value at a path: a string, a bool, a json.Number, a []any or a
// map[string]any. It returns nil if there is no value, and for null.
func (d Document) Lookup(p Path) any {
	v, _ := d.follow(p)
	return v
}

// ErrSeveral means that a path selects one of several elements.
var ErrSeveral = errors.New("the path selects from an array with more than one element")

// Only is Lookup for values that identify a user. If the path leads through a list with
// more than one element, it returns ErrSeveral: the list may be about all users, and
// its first element about any of them.
func (d Document) Only(p Path) (any, error) {
	v, several := d.follow(p)
	if several {
		return nil, ErrSeveral
	}
	return v, nil
}

// follow returns the value at a path, and whether the path leads through a list with
// more than one element.
func (d Document) follow(p Path) (v any, several bool) {
	v = d.root
	for _, step := range p {
		switch within := v.(type) {
		case map[string]any:
			v = within[step]
		case []any:
			i, err := strconv.ParseUint(step, 10, 31)
			if err != nil || i >= uint64(len(within)) {
				return nil, several
			}
			several = several || len(within) > 1
			v = within[i]
		default:
			if v == nil || !d.fromList || step != "0" {
				return nil, several
			}
			// A claim with one value: the list of it is v itself.
		}
	}
	return v, several
}
