package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// The alerts for Prometheus, their tests, the dashboard for Grafana, and the runbook.
const (
	alertsFile     = "../../../testdata/monitoring/alerts.yml"
	alertsTestFile = "../../../testdata/monitoring/alerts_test.yml"
	dashboardFile  = "../../../testdata/monitoring/grafana-dashboard.json"
	runbookFile    = "../../../docs/alerts.md"
)

// rule is one rule in a rule file of Prometheus.
type rule struct {
	Record, Alert, Expr string `yaml:",omitempty"`
	Labels, Annotations map[string]string
}

type ruleFile struct {
	Groups []ruleGroup
}

type ruleGroup struct {
	Name  string
	Rules []rule
}

func alertRules(t *testing.T) (all []rule) {
	t.Helper()
	var file ruleFile
	if err := yaml.Unmarshal(testutil.File(t, alertsFile), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// dashboardExpressions returns all PromQL expressions of the dashboard, by panel.
func dashboardExpressions(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(testutil.File(t, dashboardFile), &dashboard); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all[fmt.Sprintf("%d %s %s", p.ID, p.Title, target.RefID)] = target.Expr
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Definition != "" {
			all["variable "+v.Name] = v.Definition
		}
	}
	return all
}

// TestMonitoring_NamesAreOurs checks that alerts and dashboard query only metrics, labels
// and label values that exist, and the dashboard shows every metric.
func TestMonitoring_NamesAreOurs(t *testing.T) {
	queried := make(map[string]bool)
	for _, r := range alertRules(t) {
		for _, problem := range wrongNames(r.Expr, queried) {
			t.Errorf("%s: %s", r.Alert, problem)
		}
	}
	clear(queried)
	for panel, expr := range dashboardExpressions(t) {
		for _, problem := range wrongNames(expr, queried) {
			t.Errorf("%s: %s", panel, problem)
		}
	}
	for _, m := range table {
		if !queried[m.name] {
			t.Errorf("the dashboard does not show %s", m.name)
		}
	}
}

var (
	selectorPattern = regexp.MustCompile(`\b` + prefix + `(\w+)(?:\{([^}]*)\})?`)
	matcherPattern  = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)
	groupPattern    = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// wrongNames returns the metrics, labels and label values in a PromQL expression that do
// not exist. It adds the metrics that the expression queries to asked.
func wrongNames(expr string, queried map[string]bool) (problems []string) {
	labels := map[string]bool{"job": true, "instance": true, "le": strings.Contains(expr, "_bucket")}
	for _, s := range selectorPattern.FindAllStringSubmatch(expr, -1) {
		m, ok := metricNamed(s[1])
		if !ok {
			problems = append(problems, "unknown metric "+s[1])
			continue
		}
		queried[m.name] = true
		for _, l := range m.labels {
			labels[l.name] = true
		}
		for _, match := range matcherPattern.FindAllStringSubmatch(s[2], -1) {
			problems = append(problems, wrongMatcher(m, match[1], match[3])...)
		}
	}
	for _, by := range groupPattern.FindAllStringSubmatch(expr, -1) {
		for name := range strings.SplitSeq(by[1], ", ") {
			if !labels[name] {
				problems = append(problems, "none of its metrics has the label "+name)
			}
		}
	}
	return problems
}

// metricNamed returns the metric with the given name, or with a series of that name.
func metricNamed(name string) (metric, bool) {
	for _, m := range table {
		series := []string{m.name}
		if m.typ == typeHistogram {
			series = []string{m.name + "_bucket", m.name + "_sum", m.name + "_count"}
		}
		if slices.Contains(series, name) {
			return m, true
		}
	}
	return metric{}, false
}

// wrongMatcher returns why a matcher can never match a series of the metric.
func wrongMatcher(m metric, name, pattern string) (problems []string) {
	if name == "job" || name == "instance" { // added by Prometheus
		return nil
	}
	at := slices.IndexFunc(m.labels, func(l label) bool { return l.name == name })
	if at < 0 {
		return []string{m.name + " has no label " + name}
	}
	for value := range strings.SplitSeq(pattern, "|") {
		isVariable := strings.HasPrefix(value, "$")
		if !isVariable && !slices.Contains(m.labels[at].Values, value) {
			problems = append(problems, m.name+" is never of "+name+" "+value)
		}
	}
	return problems
}

// runbookURL is the page with a section for each alert.
const runbookURL = "https://github.com/caddy-huma/caddy-huma/blob/main/docs/alerts.md"

// TestMonitoring_AlertsSayWhatToDo checks that each alert states what happened and what
// to do, and links to its section of the runbook.
func TestMonitoring_AlertsSayWhatToDo(t *testing.T) {
	rules := alertRules(t)
	if len(rules) == 0 {
		t.Fatal("there are no alerts")
	}
	for _, r := range rules {
		if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
			t.Errorf("%s: severity %q", r.Alert, severity)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: without a summary or description", r.Alert)
		}
		if url := r.Annotations["runbook_url"]; url != runbookURL+"#"+strings.ToLower(r.Alert) {
			t.Errorf("%s: runbook_url %q", r.Alert, url)
		}
		if !strings.Contains(string(testutil.File(t, alertsTestFile)), r.Alert) {
			t.Errorf("%s: no test lets it fire", r.Alert)
		}
	}
}

// TestMonitoring_Runbook checks that the runbook has a section for each alert and no
// other alert, and each section has the impact on users, a command for the diagnosis, the
// causes, and whom to contact.
func TestMonitoring_Runbook(t *testing.T) {
	sections := make(map[string]string)
	for _, section := range strings.Split(string(testutil.File(t, runbookFile)), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
	}
	alerts := make(map[string]bool)
	for _, r := range alertRules(t) {
		alerts[r.Alert] = true
		text, ok := sections[r.Alert]
		if !ok {
			t.Errorf("%s: no section", r.Alert)
			continue
		}
		for _, want := range []string{"**Impact**", "**Diagnosis**", "```sh\n", "**Causes", "**Escalation**"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the section has no %q", r.Alert, want)
			}
		}
	}
	for name := range sections {
		if strings.HasPrefix(name, "CaddyHuma") && !alerts[name] {
			t.Errorf("%s: no such alert", name)
		}
	}
}

// promtoolRequired is the name of an environment variable. If it is 1, the test fails if
// promtool is not installed.
const promtoolRequired = "CADDY_HUMA_PROMTOOL"

// TestMonitoring_Promtool checks that promtool accepts the alerts and the expressions of
// the dashboard, and the alerts fire when they should.
func TestMonitoring_Promtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv(promtoolRequired) == "1" {
			t.Fatal(err)
		}
		t.Logf("LEFT OUT, except with %s=1: %v", promtoolRequired, err)
		return
	}
	var asRules ruleGroup
	for panel, expr := range dashboardExpressions(t) {
		if !strings.HasPrefix(panel, "variable ") {
			expr = strings.ReplaceAll(expr, "$__rate_interval", "5m")
			asRules.Rules = append(asRules.Rules, rule{Record: "dashboard:" + regexp.MustCompile(`\W`).ReplaceAllString(panel, "_"), Expr: expr})
		}
	}
	asRules.Name = "dashboard"
	text, err := yaml.Marshal(ruleFile{Groups: []ruleGroup{asRules}})
	if err != nil {
		t.Fatal(err)
	}
	dashboard := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(dashboard, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", alertsFile, dashboard},
		{"test", "rules", alertsTestFile},
	} {
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
