package routecheck_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routecheck"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestMain checks that a check leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The handler request_body is the token directive of these tests.
var directives = []string{"huma_token", "human_api_token", "request_body"}

func acceptAny(identity.Placeholders) bool { return true }

// checkAll checks all directives of an app. It returns an error if the app does not load.
func checkAll(app map[string]any) (all []routecheck.Result, err error) {
	site, cancel, err := routecheck.Load(app, directives)
	defer cancel()
	if err != nil {
		return nil, err
	}
	number := 0
	return all, routes.WalkJSON(app, func(p routes.Place, handler map[string]any) {
		for _, name := range directives {
			if handler["handler"] == name {
				found := site.Check(number, p, "/private/token", acceptAny)
				for _, r := range found {
					_ = site.LoginPages(p.Server, r)
				}
				all = append(all, found...)
				number++
			}
		}
	})
}

// adapt returns the HTTP app of a Caddyfile. request_body stands for a token directive.
func adapt(t testing.TB, caddyfile string) (app map[string]any) {
	t.Helper()
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Apps struct {
			HTTP map[string]any `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	return config.Apps.HTTP
}

// otherValues replace the parts of a config in TestMutations.
var otherValues = []any{nil, "x", 1.0, true, []any{}, map[string]any{}, []any{"x"}, map[string]any{"x": 1.0}, []any{nil}}

// TestMutations checks that a config with a part of another type is checked or rejected,
// without a panic. The configs are the golden files of the adapter.
func TestMutations(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/adapt/*.caddyfiletest")
	if err != nil || files == nil {
		t.Fatal("no golden files")
	}
	checked, rejected, n := 0, 0, 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(content), "\n----------\n")
		var config map[string]any
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		app := config["apps"].(map[string]any)["http"].(map[string]any)
		check := func() {
			if all, err := checkAll(app); err != nil {
				rejected++
			} else if len(all) > 0 {
				checked++
			}
		}
		check()
		if checked == 0 {
			t.Fatalf("%s is not checked", file)
		}
		eachPart(app, func(set func(any)) {
			n++
			if testutil.Race && n%5 != 0 {
				return
			}
			set(otherValues[n%len(otherValues)])
			check()
		})
	}
	if checked < len(files) || rejected < len(files) {
		t.Errorf("%d checked, %d rejected", checked, rejected)
	}
}

// eachPart calls visit with a function that replaces a part of v, for each part. The
// part is restored after the call. Options of token directives are left out.
func eachPart(v any, visit func(set func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			part := v[key]
			visit(func(other any) { v[key] = other })
			v[key] = part
			if !strings.HasSuffix(fmt.Sprint(v["handler"]), "_token") {
				eachPart(part, visit)
			}
		}
	case []any:
		for i, part := range v {
			visit(func(other any) { v[i] = other })
			v[i] = part
			eachPart(part, visit)
		}
	}
}

// TestManyInvocations checks a named route that many sites invoke.
func TestManyInvocations(t *testing.T) {
	text := "&(site) {\n request_body /private/token {\n max_size 1\n}\n}\n"
	for i := range 100 {
		text += fmt.Sprintf("site%d.example.com {\n invoke site\n}\n", i)
	}
	all, err := checkAll(adapt(t, text))
	if err != nil || len(all) != 100 {
		t.Fatalf("%d results, %v", len(all), err)
	}
	for _, r := range all {
		if !r.Reached {
			t.Errorf("%+v", r)
		}
	}
}
