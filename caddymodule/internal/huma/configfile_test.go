package huma

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// show prints the values in one line, with the secret in clear text.
func show(v FileValues) string {
	return fmt.Sprintf("api=%s project=%s deployment=%s client=%s clients=%v secret=%s",
		v.API, v.ProjectID, v.DeploymentID, v.ClientID, v.ClientIDs, v.Secret.Reveal())
}

func TestParseConfig(t *testing.T) {
	const none = "api= project= deployment= client= clients=map[] secret="
	set := func(pairs ...string) string {
		out := none
		for i := 0; i < len(pairs); i += 2 {
			out = strings.Replace(out, pairs[i]+"=", pairs[i]+"="+pairs[i+1], 1)
		}
		return strings.ReplaceAll(out, "]map[]", "]")
	}
	tests := []struct{ name, in, want string }{
		{"nothing", `{}`, none},
		{"flat", `{"apiUrl":"https://a.example","projectId":"p1","deploymentId":"d1","organizationId":"o1","clientId":"c1","secret":"s1"}`,
			set("api", "https://a.example", "project", "p1", "deployment", "d1", "client", "c1", "secret", "s1")},
		{"snake", `{"api_url":"https://a.example","project_id":"p1","signing_secret":"s1"}`,
			set("api", "https://a.example", "project", "p1", "secret", "s1")},
		{"kebab", `{"base-url":"https://a.example","deployment-id":"d1","client-secret":"s1"}`,
			set("api", "https://a.example", "deployment", "d1", "secret", "s1")},
		{"case", `{"APIURL":"https://a.example","PROJECT_ID":"p1","Deployment-Id":"d1","SECRET":"s1"}`,
			set("api", "https://a.example", "project", "p1", "deployment", "d1", "secret", "s1")},
		{"nested", `{"huma":{"api":{"host":"a.example"},"ids":{"projectId":"p1"}},"auth":{"key":"s1"}}`,
			set("api", "https://a.example", "project", "p1", "secret", "s1")},
		{"BOM", "\ufeff" + `{"projectId":"p1"}`, set("project", "p1")},
		{"bare host", `{"domain":"a.example:8443/base"}`, set("api", "https://a.example:8443/base")},
		{"no scheme", `{"url":"//a.example"}`, set("api", "https://a.example")},
		{"http stays", `{"url":"http://127.0.0.1:1"}`, set("api", "http://127.0.0.1:1")},
		{"alias order", `{"host":"no.example","apiUrl":"no2.example","url":"a.example"}`, set("api", "https://a.example")},
		{"alias beats depth", `{"key":"no","x":{"y":{"secret":"s1"}}}`, set("secret", "s1")},
		{"secret order", `{"key":"no","signingSecret":"no2","clientSecret":"no3","apiSecret":"s1"}`, set("secret", "s1")},
		{"value beside organizationId", `{"projectId":"p1","value":"no","x":{"value":"s1","organization_id":"o1","createDateTime":"2026-01-01"}}`,
			set("project", "p1", "secret", "s1")},
		{"value by itself", `{"value":"no","x":{"organizationId":"o1"}}`, none},
		{"secret before value", `{"value":"no","organizationId":"o1","x":{"key":"s1"}}`, set("secret", "s1")},
		{"shallow wins", `{"a":{"b":{"projectId":"no"}},"x":{"projectId":"p1"}}`, set("project", "p1")},
		{"shallow wins over two that differ", `{"a":{"projectId":"n1"},"b":{"projectId":"n2"},"projectId":"p1"}`, set("project", "p1")},
		{"the same twice", `{"a":{"projectId":"p1"},"b":{"project_id":"p1"}}`, set("project", "p1")},
		{"empty is absent", `{"url":"","host":"a.example","projectId":"","x":{"projectId":"p1"},"secret":null}`,
			set("api", "https://a.example", "project", "p1")},
		{"numbers", `{"projectId":12,"deploymentId":7e3,"clients":{"ios":1,"web":{"id":3}},"url":5}`,
			set("project", "12", "deployment", "7e3", "clients", "map[ios:1 web:3]")},
		{"blanks around", `{"apiUrl":" http://localhost:1/ \t","projectId":"\np1","deploymentId":"d 1 ","clients":{"web":{"id":" c1"}}}`,
			set("api", "http://localhost:1/", "project", "p1", "deployment", "d 1", "clients", "map[web:c1]")},
		{"blanks around a secret", `{"secret":" s1 "}`, set("secret", " s1 ")},
		{"blanks are absent", `{"url":" ","host":"a.example","secret":" \n","key":"s1","projectId":"\t"}`, set("api", "https://a.example", "secret", "s1")},
		{"the same but for blanks", `{"a":{"projectId":"p1"},"b":{"projectId":"p1 "}}`, set("project", "p1")},
		{"other types", `{"projectId":true,"deploymentId":["d1"],"secret":{"key":"s1"},"clientId":[]}`, set("secret", "s1")},
		{"clients", `{"clients":{"iOS":"c1","ANDROID":{"clientId":"c2"},"web":{"id":"c3"}}}`,
			set("clients", "map[android:c2 ios:c1 web:c3]")},
		{"client ids", `{"x":{"client_ids":{"ios":"c1"}}}`, set("clients", "map[ios:c1]")},
		{"client by name", `{"iosClientId":"c1","android_client_id":"c2","web-client-id":"c3","clientId":"c9"}`,
			set("client", "c9", "clients", "map[android:c2 ios:c1 web:c3]")},
		{"clients before client ids before names", `{"iosClientId":"n1","clientIds":{"ios":"n2","web":"c3"},"a":{"clients":{"ios":"c1"}}}`,
			set("clients", "map[ios:c1 web:c3]")},
		{"clientId before id", `{"clients":{"ios":{"id":"no","client_id":"c1"}}}`, set("clients", "map[ios:c1]")},
		{"shallow container", `{"a":{"clients":{"ios":"no"}},"clients":{"ios":{"id":"c1"}}}`, set("clients", "map[ios:c1]")},
		{"clients hold nothing else", `{"clients":{"ios":{"clientId":"c1","secret":"no","url":"no","projectId":"no"},"key":"no","clientId":"no"}}`,
			set("clients", "map[ios:c1]")},
		{"clients within clients", `{"clients":{"x":{"clients":{"ios":"no"}}}}`, none},
		{"clients that is a text", `{"clients":"no","clientIds":["no"]}`, none},
		{"strange names", `{"a.b":{"":{"projectId":"p1"}},"\u212aey":"no"}`, set("project", "p1")},
		{"too deep", strings.Repeat(`{"a":`, 16) + `{"projectId":"no"}` + strings.Repeat("}", 16), none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := ParseConfig([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(v); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestParseConfigErrors(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", ``, "invalid JSON at line 1, column 1"},
		{"text", `hello`, "invalid JSON at line 1, column 1"},
		{"third line", "{\n\"projectId\": \"p1\",\n  " + canarySecret + "}", "invalid JSON at line 3, column 3"},
		{"cut", `{"secret":"` + canarySecret, "invalid JSON at line 1, column 29"},
		{"two", `{} {}`, "invalid JSON at line 1, column 4"},
		{"null", `null`, "not a JSON object"},
		{"array", ` [{"secret":"` + canarySecret + `"}]`, "not a JSON object"},
		{"string", `"` + canarySecret + `"`, "not a JSON object"},
		{"differ", `{"a":{"secret":"` + canarySecret + `"},"b":{"Secret":"` + canaryHeader + `"}}`, "secret: a.secret and b.Secret have different values; set the option secret"},
		{"differ in spelling", `{"project_id":"` + canarySecret + `","projectId":"` + canaryHeader + `"}`, "project_id: project_id and projectId have different values; set the option project_id"},
		{"the same member twice", `{"key":"` + canarySecret + `","key":"` + canaryHeader + `"}`, "secret: key and key have different values; set the option secret"},
		{"clients", `{"clients":{"ios":"1","iOS":{"clientId":"2"}}}`, "client_id ios: clients.ios and clients.iOS.clientId have different values; set the option client_id"},
		{"all of them", `{"a":{"url":"u1","projectId":"1"},"b":{"url":"u2","projectId":"2"}}`,
			"api: a.url and b.url have different values; set the option api\nproject_id: a.projectId and b.projectId have different values; set the option project_id"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := ParseConfig([]byte(test.in))
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != test.want {
				t.Errorf("got %q, want %q", err, test.want)
			}
			if !v.Secret.IsZero() || v.ProjectID != "" || v.Members != nil {
				t.Error("values with an error")
			}
			testutil.NoSecrets(t, err, canaries...)
		})
	}
}

func TestMembers(t *testing.T) {
	v, err := ParseConfig([]byte(`{"z":1,"huma":{"api-url":"` + canaryResponse + `","list":[{"a":1}],"none":{}},"clients":{"ios":{"secret":"` +
		canarySecret + `"}},"z":2}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"clients.ios.secret", "huma.api-url", "huma.list", "huma.none", "z"}
	if !slices.Equal(v.Members, want) {
		t.Errorf("got %q", v.Members)
	}
}

func TestReadConfigFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	v, err := ReadConfigFile(write("good", `{"projectId":"p1"}`+strings.Repeat(" ", 1<<20-18)))
	if err != nil || v.ProjectID != "p1" {
		t.Error(v, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory",
		dir:                        "is a directory",
		write("long", `{"projectId":"p1"}`+strings.Repeat(" ", 1<<20-17)): "file is larger than 1 MiB",
		write("bad", "{\n!"): "invalid JSON at line 2, column 1",
		write("array", "[]"): "not a JSON object",
	} {
		_, err := ReadConfigFile(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, "\ufeff{}", `{"url":"a","secret":"s","clients":{"ios":{"clientId":1,"secret":"x"}}}`,
		`{"a":{"b":{"project-id":"p"}},"clientIds":{"WEB":"w"},"clientId":"c"}`, `{"key":{"key":{}}}`, `{"a":[{"url":"x"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseConfig(data)
		if err != nil {
			return
		}
		members := membersOf(t, bytes.TrimPrefix(data, []byte("\ufeff")))
		has := func(value string, names ...string) {
			if value != "" && !stands(members, value, names) {
				t.Errorf("%q is under none of %q", value, names)
			}
		}
		bare := strings.TrimPrefix(v.API, "https://")
		if !stands(members, v.API, apiFolded) && !stands(members, "//"+bare, apiFolded) {
			has(bare, apiFolded...)
		}
		has(v.ProjectID, "projectid")
		has(v.DeploymentID, "deploymentid")
		has(v.ClientID, "clientid")
		has(v.Secret.Reveal(), "secret", "apisecret", "clientsecret", "signingsecret", "key")
		for _, c := range []login.ClientType{login.IOS, login.Android, login.Web} {
			has(v.ClientIDs[c], string(c), "clientid", "id", string(c)+"clientid")
		}
		if !slices.IsSorted(v.Members) {
			t.Error("members are not sorted")
		}
	})
}

var apiFolded = []string{"url", "apiurl", "baseurl", "host", "domain", "apidomain"}

// stands reports whether a member with one of names has value.
func stands(members map[string][]string, value string, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(members[name], value) })
}

// membersOf collects the strings and numbers of a document by the name of their member,
// at any depth. It uses JSON tokens only, to be independent of the code under test.
func membersOf(t *testing.T, data []byte) map[string][]string {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var (
		members = make(map[string][]string)
		inside  []json.Delim // open objects and arrays
		name    string
		isValue bool
	)
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		inObject := len(inside) > 0 && inside[len(inside)-1] == '{'
		switch delim, isDelim := token.(json.Delim); {
		case isDelim && (delim == '{' || delim == '['):
			inside, isValue = append(inside, delim), false
		case isDelim:
			inside, isValue = inside[:len(inside)-1], false
		case inObject && !isValue:
			name = strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(token.(string)))
			isValue = true
		case inObject:
			text := fmt.Sprint(token)
			members[name] = append(members[name], text, strings.Trim(text, " \t\r\n\v\f"))
			isValue = false
		}
	}
}
