package option

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// UnmarshalJSON is caddy.StrictUnmarshalJSON, but its error for an unknown field suggests
// one of the fields of target, at any depth, and its error for a value of another type
// names the option. target must be a pointer to a struct without the method
// UnmarshalJSON.
func UnmarshalJSON(text []byte, target any) error {
	err := caddy.StrictUnmarshalJSON(text, target)
	if err == nil {
		return nil
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		name := wrongType.Field[strings.LastIndexByte(wrongType.Field, '.')+1:]
		return fmt.Errorf("%s: must be %s in JSON, not %s", name, jsonType(wrongType.Type), wrongType.Value)
	}
	_, field, unknown := strings.Cut(err.Error(), `unknown field "`)
	if !unknown {
		return err
	}
	hint := suggest.DidYouMean(strings.TrimSuffix(field, `"`), jsonNames(reflect.TypeOf(target)))
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w%s", err, hint)
}

// jsonType returns the JSON type of the values of a Go type.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}

// jsonNames returns the names of the JSON fields of a type, at any depth.
func jsonNames(t reflect.Type) (names []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return jsonNames(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported():
			continue
		case name != "":
			names = append(names, name)
		case !field.Anonymous:
			names = append(names, field.Name)
		}
		names = append(names, jsonNames(field.Type)...)
	}
	return names
}
