package check

import (
	"encoding/json"
	"maps"
	"strings"
)

// account is the directives that make the same calls: those with the same service,
// credentials, connection and store.
type account struct{ targets []*target }

// first returns the directive that makes the calls of the account.
func (a *account) first() *target { return a.targets[0] }

// groupAccounts returns the accounts of the directives, and sets their field account.
func groupAccounts(targets []*target) (all []*account) {
	byKey := make(map[string]*account)
	for _, t := range targets {
		key := t.accountKey()
		a := byKey[key]
		if a == nil {
			a = new(account)
			byKey[key] = a
			all = append(all, a)
		}
		a.targets, t.account = append(a.targets, t), a
	}
	return all
}

// otherOptions are the options that do not change the calls to the service.
var otherOptions = []string{
	"identity", "trust", "userinfo", "hash_key", "cross_site", "allow_origins", "errors", "no_cache", "breaker", "max_concurrent",
	"max_waiting",
}

// accountKey returns a text that is equal for directives of the same account.
func (t *target) accountKey() string {
	options := maps.Clone(t.directive.Options)
	for _, name := range otherOptions {
		delete(options, name)
	}
	if cache, ok := options["cache"].(map[string]any); ok {
		options["cache"] = cache["store"]
	}
	text, _ := json.Marshal(options) // it was decoded from JSON
	return t.directive.Service.Name + string(text)
}

// title returns the name of the account in the output: the options that identify it, as
// they are written in the config.
func (a *account) title() string {
	d := a.first().directive
	parts := []string{d.Service.Directive + " account"}
	for _, name := range []string{"config_file", "api", "project_id", "deployment_id", "client_id"} {
		if value, ok := d.Options[name].(string); ok {
			parts = append(parts, name+" "+value)
		}
	}
	return strings.Join(parts, ", ")
}
