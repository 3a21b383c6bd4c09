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

// FileValues are the values found in a huma-config.json. Each is empty if the
// file does not have it.
type FileValues struct {
	API            string // address; a bare host has been given https://
	ProjectID      string
	DeploymentID   string
	OrganizationID string
	ClientID       string                      // one for all client types
	ClientIDs      map[login.ClientType]string // by client type; wins over ClientID
	Secret         masked.String

	// Members are the names of the members found, sorted, with dots between
	// the names of nested ones. There are no values among them.
	Members []string
}

// ReadConfigFile reads a huma-config.json as textfile.Read does. Its errors name
// the file and hold nothing of its values. See ParseConfig for without.
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

// ParseConfig reads the JSON of a huma-config.json. Its layout is not
// published, so it may be flat or nested, with members in camelCase,
// snake_case or kebab-case and under several names each. Two different values
// at equally good places are an error that names both places. ASCII blanks around
// a value are trimmed, except around the secret; a value of blanks is absent.
//
// without names values that are not looked for because they are set elsewhere:
// api, project_id, deployment_id, organization_id, client_id, secret.
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
				errs = append(errs, fmt.Errorf("%s: %w; the option %s decides", name, err, option))
			}
			return value
		}
	)
	v.API = address(find("api", apiNames...))
	v.ProjectID = find("project_id", named("projectId"))
	v.DeploymentID = find("deployment_id", named("deploymentId"))
	v.OrganizationID = find("organization_id", named("organizationId"))
	v.ClientID = find("client_id", named("clientId"))
	// Huma's own answer about an organization's secret is {"value", "organizationId"}.
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

// trimBlanks returns the leaves without blanks around their values. A value of
// nothing but blanks becomes empty in all, too.
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

// checkJSON reports why data is not one JSON object, and where, without
// quoting it: package json names the character that it did not expect.
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
		return fmt.Errorf("not JSON at %d:%d (line:column)", line, column)
	}
	if err != nil {
		return errors.New("not JSON")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("not a JSON object")
	}
	return nil
}

// address gives a bare host the scheme that it is reached by.
func address(v string) string {
	if v == "" || strings.Contains(v, "://") {
		return v
	}
	return "https://" + strings.TrimPrefix(v, "//")
}

// memberNames are the dotted paths of all, sorted, each once.
func memberNames(all []leaf) []string {
	names := make([]string, len(all))
	for i, l := range all {
		names[i] = l.String()
	}
	slices.Sort(names)
	return slices.Compact(names)
}
