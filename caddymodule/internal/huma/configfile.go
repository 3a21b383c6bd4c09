package huma

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// FileValues are the values found in a huma-config.json. A value that the file does not
// have is empty.
type FileValues struct {
	API          string // URL; https:// is added to a bare host
	ProjectID    string
	DeploymentID string
	ClientID     string                      // for all client types
	ClientIDs    map[login.ClientType]string // by client type; overrides ClientID
	Secret       masked.String

	// Members are the names of the members found, sorted. The names of nested members
	// are joined with dots. They contain no values.
	Members []string
}

// ReadConfigFile reads a huma-config.json with textfile.Read and parses it with
// ParseConfig. Its errors name the file and contain none of its values.
func ReadConfigFile(path string, without ...string) (FileValues, error) {
	data, err := textfile.Read(path)
	if err != nil {
		return FileValues{}, err
	}
	v, err := ParseConfig(data, without...)
	if err != nil {
		return FileValues{}, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// ParseConfig parses the JSON of a huma-config.json. The layout of this file is not
// published, so it may be flat or nested, with members in camelCase, snake_case or
// kebab-case, and with several names for each value. Two different values in places of
// equal rank are an error that names both places. ASCII white space around a value is
// trimmed, except around the secret. A value of only white space counts as missing.
//
// without lists values not to search for, because they are set elsewhere: api,
// project_id, deployment_id, client_id, secret.
func ParseConfig(data []byte, without ...string) (FileValues, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if err := checkJSON(data); err != nil {
		return FileValues{}, err
	}
	all := leaves(data)
	trimmed := trimBlanks(all)

	var (
		v    FileValues
		errs []error
		find = func(name string, queries ...query) string {
			option, _, _ := strings.Cut(name, " ")
			if slices.Contains(without, option) {
				return ""
			}
			from := trimmed
			if option == "secret" {
				from = all
			}
			value, err := pick(from, queries)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w; set the option %s", name, err, option))
			}
			return value
		}
	)
	v.API = address(find("api", apiNames...))
	v.ProjectID = find("project_id", named("projectId"))
	v.DeploymentID = find("deployment_id", named("deploymentId"))
	v.ClientID = find("client_id", named("clientId"))
	// Huma's own response with the secret of an organization is {"value",
	// "organizationId"}.
	v.Secret = masked.New(find("secret", append(slices.Clip(secretNames), beside(all, "value", "organizationId"))...))
	for _, t := range []login.ClientType{login.IOS, login.Android, login.Web} {
		id := find("client_id "+string(t), clientNames(string(t))...)
		if id == "" {
			continue
		}
		if v.ClientIDs == nil {
			v.ClientIDs = make(map[login.ClientType]string)
		}
		v.ClientIDs[t] = id
	}
	if err := errors.Join(errs...); err != nil {
		return FileValues{}, err
	}
	v.Members = memberNames(all)
	return v, nil
}

// trimBlanks returns the leaves with white space trimmed from their values. A value of
// only white space becomes empty in all, too.
func trimBlanks(all []leaf) []leaf {
	trimmed := slices.Clone(all)
	for i := range trimmed {
		trimmed[i].value = textfile.TrimBlanks(all[i].value)
		if trimmed[i].value == "" {
			all[i].value = ""
		}
	}
	return trimmed
}

// checkJSON returns an error with the position if data is not one JSON object. The
// error does not quote data; the error of package json would quote the unexpected
// character.
func checkJSON(data []byte) error {
	var (
		value  json.RawMessage
		syntax *json.SyntaxError
	)
	err := json.Unmarshal(data, &value)
	if errors.As(err, &syntax) {
		at := int(min(max(syntax.Offset-1, 0), int64(len(data))))
		line := bytes.Count(data[:at], []byte("\n")) + 1
		column := at - bytes.LastIndexByte(data[:at], '\n')
		return fmt.Errorf("invalid JSON at line %d, column %d", line, column)
	}
	if err != nil {
		return errors.New("invalid JSON")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("not a JSON object")
	}
	return nil
}

// address adds https:// to a bare host.
func address(v string) string {
	if v == "" || strings.Contains(v, "://") {
		return v
	}
	return "https://" + strings.TrimPrefix(v, "//")
}

// memberNames returns the dotted paths of all, sorted and unique.
func memberNames(all []leaf) []string {
	names := make([]string, len(all))
	for i, l := range all {
		names[i] = l.String()
	}
	slices.Sort(names)
	return slices.Compact(names)
}
