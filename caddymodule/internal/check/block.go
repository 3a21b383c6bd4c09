package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// block is the results for one directive, one account or one line of the Caddyfile, which
// are printed together.
type block struct {
	titles     []string // printed above the results
	directives []string // names
	account    string   // title of the account; empty for the results of a directive
	file       string   // path of the Caddyfile with the directive, if it is known
	line       int      // of the directive in file
	entries    []report.Entry
}

// newBlocks runs the checks and returns a block for each directive, and one for each
// account of several directives. The results for the account of a single directive are in
// the directive's block.
func newBlocks(targets []*target) (all []*block) {
	var accounts []*block
	names := make(routes.Names)
	for _, t := range targets {
		d := t.directive
		b := &block{titles: []string{d.Title()}, directives: []string{d.Name}, file: d.File, line: d.Line}
		for _, check := range directiveChecks {
			b.add(check.name, check.run(t))
		}
		b.entries = append(b.entries, t.checkSource()...)
		all = append(all, b)
		if t != t.account.first() {
			continue
		}
		if len(t.account.targets) > 1 {
			b = &block{account: names.Unique(t.account.title())}
			for _, other := range t.account.targets {
				b.directives = append(b.directives, other.directive.Name)
			}
			b.titles = []string{fmt.Sprintf("%s (of %d directives)", b.account, len(b.directives))}
			accounts = append(accounts, b)
		}
		for _, check := range accountChecks {
			b.add(check.name, check.run(t))
		}
	}
	return append(all, accounts...)
}

// findingBlocks returns a block for each finding in the Caddyfile. newEntry returns its
// result.
func findingBlocks(findings []dryrun.Finding, newEntry func(fix, format string, args ...any) report.Entry) (all []*block) {
	for _, f := range findings {
		b := &block{titles: []string{f.Title()}, file: f.File, line: f.Line}
		b.add("config", []report.Entry{newEntry(f.Fix, "%s", f.Text)})
		all = append(all, b)
	}
	return all
}

// errorBlocks returns the blocks for a config that cannot be loaded, so that there is no
// directive to check.
func errorBlocks(err error) []*block {
	var adapt *dryrun.AdaptError
	if errors.As(err, &adapt) {
		return findingBlocks(adapt.Findings, report.NewProblem)
	}
	e := report.NewProblem(loadErrorFix(err), "%v", err)
	e.Check = "config"
	return []*block{{entries: []report.Entry{e}}}
}

func (b *block) add(check string, results []report.Entry) {
	for _, r := range results {
		r.Check = check
		b.entries = append(b.entries, r)
	}
}

// merge returns the blocks with those of equal results combined to one.
func merge(all []*block) (merged []*block) {
	for _, b := range all {
		same := func(other *block) bool {
			return b.account == "" && other.account == "" && slices.Equal(other.entries, b.entries)
		}
		if i := slices.IndexFunc(merged, same); i >= 0 {
			merged[i].titles = append(merged[i].titles, b.titles...)
			continue
		}
		copied := *b
		copied.titles = slices.Clone(b.titles)
		merged = append(merged, &copied)
	}
	return merged
}

// maxTitles is the maximum number of titles that are printed above one block.
const maxTitles = 10

// entries returns the results of all blocks, each with the titles of its block.
func entries(blocks []*block) (all []report.Entry) {
	for _, b := range blocks {
		titles := b.titles
		if more := len(titles) - maxTitles; more > 1 {
			titles = append(slices.Clone(titles[:maxTitles]), fmt.Sprintf("and %d more", more))
		}
		for _, e := range b.entries {
			e.Subject = strings.Join(titles, "\n")
			all = append(all, e)
		}
	}
	return all
}

// document is one result in the JSON output.
type document struct {
	Directives []string      `json:"directives,omitempty"` // names; none for the whole config
	Account    string        `json:"account,omitempty"`    // set if the result is about an account of several directives
	File       string        `json:"file,omitempty"`       // path of the Caddyfile with the directive, if it is known
	Line       int           `json:"line,omitempty"`       // of the directive in File
	Check      string        `json:"check"`
	Result     report.Result `json:"result"`
	Detail     string        `json:"detail"`
	Fix        string        `json:"fix,omitempty"` // what to do, such as a line of the config; may be empty
}

func documents(blocks []*block) []document {
	all := []document{} // never null
	for _, b := range blocks {
		for _, e := range b.entries {
			all = append(all, document{b.directives, b.account, b.file, b.line, e.Check, e.Result, e.Detail, e.Fix})
		}
	}
	return all
}
