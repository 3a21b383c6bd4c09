package caddymodule_test

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
)

const appsPage = "../docs/apps.md"

// appActions returns what an app does for each code, from the table in docs/apps.md, and
// checks the statuses in it.
func appActions(t *testing.T) map[string]string {
	t.Helper()
	row := regexp.MustCompile("(?m)^\\| (.*) \\| `(\\w+)` \\|")
	word := regexp.MustCompile("\\d{3}|`\\w+`|without")
	actions := make(map[string]string)
	for _, m := range row.FindAllStringSubmatch(readGolden(t, appsPage), -1) {
		status := ""
		for _, w := range word.FindAllString(m[1], -1) {
			code, ok := strings.CutPrefix(strings.Trim(w, "`"), "")
			if !strings.HasPrefix(w, "`") || !ok {
				status = w
				continue
			}
			if actions[code] != "" {
				t.Errorf("%s names %s twice", appsPage, code)
			}
			actions[code] = m[2]
			if got := strconv.Itoa(problem.Table[exchange.Code(code)].Status); got != status {
				t.Errorf("%s: %s has status %s, want %s", appsPage, code, status, got)
			}
		}
	}
	return actions
}

// TestAppsErrors checks that the table of errors in docs/apps.md has every code once, and
// that the samples do what it says.
func TestAppsErrors(t *testing.T) {
	actions := appActions(t)
	for code := range problem.Table {
		if actions[string(code)] == "" {
			t.Errorf("%s has no action for %s", appsPage, code)
		}
	}
	if len(actions) != len(problem.Table) {
		t.Errorf("%d codes, want %d", len(actions), len(problem.Table))
	}

	for file, code := range map[string]string{
		"typescript/huma-token.ts": `(?m)^  (\w+): "(\w+)",$`,
		"kotlin/HumaToken.kt":      `(?m)^    (\w+)\(Action\.(\w+)\)[,;]$`,
		"dart/huma_token.dart":     `(?m)^  \w+\('(\w+)', HumaTokenAction\.(\w+)\)[,;]$`,
	} {
		got := make(map[string]string)
		for _, m := range regexp.MustCompile(code).FindAllStringSubmatch(readGolden(t, "../docs/samples/"+file), -1) {
			got[strings.ToLower(m[1])] = m[2]
		}
		equalActions(t, file, got, actions)
	}

	// In Swift, each action has a list of cases.
	swift, names, got := readGolden(t, "../docs/samples/swift/HumaToken.swift"), make(map[string]string), make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^    case (\w+) = "(\w+)"$`).FindAllStringSubmatch(swift, -1) {
		names[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^        case (\.\w+(?:,\s+\.\w+)*):\n            return \.(\w+)$`).FindAllStringSubmatch(swift, -1) {
		for name := range strings.SplitSeq(m[1], ",") {
			got[names[strings.TrimSpace(name)[1:]]] = m[2]
		}
	}
	equalActions(t, "swift/HumaToken.swift", got, actions)
}

// equalActions compares the actions of a sample with those of the page. A sample may write
// SIGN_IN for signIn.
func equalActions(t *testing.T, sample string, got, want map[string]string) {
	t.Helper()
	normal := strings.NewReplacer("_", "")
	normalized := func(actions map[string]string) map[string]string {
		all := maps.Clone(actions)
		for code, action := range all {
			all[code] = strings.ToLower(normal.Replace(action))
		}
		return all
	}
	if got, want := fmt.Sprint(normalized(got)), fmt.Sprint(normalized(want)); got != want {
		t.Errorf("%s has the actions\n%s, want\n%s", sample, got, want)
	}
}

// TestAppsUsage checks that the page shows the usage of each sample as the comment at the
// start of its file does.
func TestAppsUsage(t *testing.T) {
	page := readGolden(t, appsPage)
	for language, file := range map[string]string{
		"ts": "typescript/huma-token.ts", "kotlin": "kotlin/HumaToken.kt",
		"swift": "swift/HumaToken.swift", "dart": "dart/huma_token.dart",
	} {
		_, shown, _ := strings.Cut(page, "\n```"+language+"\n")
		shown, _, ok := strings.Cut(shown, "```")
		indent := "//     "
		if language == "ts" {
			indent = "//   "
		}
		comment := indent + strings.ReplaceAll(strings.TrimSuffix(shown, "\n"), "\n", "\n"+indent) + "\n"
		if !ok || !strings.Contains(readGolden(t, "../docs/samples/"+file), "\n"+comment) {
			t.Errorf("%s and %s differ:\n%s", appsPage, file, comment)
		}
	}
}
