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
	place      string   // see placeOf
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
		b := &block{titles: []string{d.Title()}, directives: []string{d.Name}, file: d.File, line: d.Line, place: placeOf(d)}
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

// placeOf returns the host and the path of a directive, as in the results of checkRoutes,
// or "" if it has no host or no path.
func placeOf(d *dryrun.Directive) string {
	if len(d.Place.Hosts) == 0 || len(d.Place.Paths) == 0 {
		return ""
	}
	return d.Place.Hosts[0] + d.Place.Paths[0]
}

// merge returns the blocks with those of directives with equal results combined to one:
// results that differ only in the host and the path of the directive are equal.
func merge(all []*block) (merged []*block) {
	var keys [][]report.Entry // of the blocks in merged
	for _, b := range all {
		key := b.about("each")
		i := slices.IndexFunc(keys, func(other []report.Entry) bool { return slices.Equal(other, key) })
		if b.account != "" || i < 0 {
			copied := *b
			copied.titles = slices.Clone(b.titles)
			merged, keys = append(merged, &copied), append(keys, key)
			continue
		}
		merged[i].titles, merged[i].entries = append(merged[i].titles, b.titles...), key
	}
	return merged
}

// about returns the results with a word in place of the directive's host and path.
func (b *block) about(word string) []report.Entry {
	entries := slices.Clone(b.entries)
	for i, e := range entries {
		if b.place != "" {
			entries[i].Detail = strings.ReplaceAll(e.Detail, b.place, word)
		}
	}
	return entries
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
