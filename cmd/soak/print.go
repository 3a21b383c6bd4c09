package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// print writes the report for people.
func (r *Report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "machine\t%s\n", r.Machine)
	fmt.Fprintf(w, "options\t%s\n", pairs(r.Options, " ", "-%s=%s"))
	r.Run.print(w)
	if r.Respond != nil {
		fmt.Fprintf(w, "\nrespond, for comparison\n")
		r.Respond.print(w)
	}
	if len(r.Broken) == 0 {
		fmt.Fprintf(w, "\nall promises were kept\n")
	}
	for _, what := range r.Broken {
		fmt.Fprintf(w, "\nBROKEN\t%s\n", what)
	}
	return w.Flush()
}

func (run *Run) print(w io.Writer) {
	fmt.Fprintf(w, "sent\t%d\n", run.Sent)
	fmt.Fprintf(w, "answers\t%s\n", counts(run.Answers))
	if run.Reloads > 0 {
		fmt.Fprintf(w, "reloads\t%d, %d of them without success\n", run.Reloads, run.ReloadErrors)
	}
	fmt.Fprintf(w, "\nlatency, ms\tcount\tp50\tp90\tp99\tp99.9\tmax\n")
	row := func(name string, q Quantiles) {
		if q.Count > 0 {
			fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", name, q.Count, q.P50, q.P90, q.P99, q.P999, q.Max)
		}
	}
	for _, p := range run.Phases {
		fmt.Fprintf(w, "%s\t\t\t\t\t\t%s\n", p.Name, counts(p.Answers))
		if p.RSS[0] != process.Unknown {
			fmt.Fprintf(w, "\t\t\t\t\t\tresident memory from %s to %s\n", size(p.RSS[0]), size(p.RSS[1]))
		}
		row("  all", p.All)
		row("  200", p.Tokens)
		row("  200 since sent", p.TokensSent)
		row("  503", p.Refusals)
		row("  503 since sent", p.RefusalsSent)
	}
	row("sent late by", run.Lateness)

	fmt.Fprintf(w, "\nCaddy\tstart\tpeak\tend\n")
	fmt.Fprintf(w, "resident memory\t%s\t%s\t%s\n", size(run.Start.RSS), size(run.Peak.RSS), size(run.End.RSS))
	fmt.Fprintf(w, "live heap\t%s\t\t%s\n", size(run.Start.LiveHeap), size(run.End.LiveHeap))
	fmt.Fprintf(w, "goroutines\t%s\t%s\t%s\n", amount(run.Start.Goroutines), amount(run.Peak.Goroutines), amount(run.End.Goroutines))
	fmt.Fprintf(w, "descriptors\t%s\t%s\t%s\n", amount(run.Start.Descriptors), amount(run.Peak.Descriptors), amount(run.End.Descriptors))

	if u := run.Upstream; len(u.Calls) > 0 || u.FaultRefused > 0 {
		fmt.Fprintf(w, "\ncalls upstream\t%s, over %d connections\n", counts(u.Calls), u.Connections)
		a := run.Accounts
		fmt.Fprintf(w, "users\t%d asked, %d got a token, %d accounts at the service\n", a.Asked, a.GotToken, a.Registered)
		fmt.Fprintf(w, "must be 0\t%d second sign-ups, %d tokens of somebody else\n", a.SecondSignUps, a.WrongTokens)
	}
	run.printFault(w)
	run.Store.print(w)
}

func (s *Store) print(w io.Writer) {
	if s == nil {
		return
	}
	fmt.Fprintf(w, "\ntokens from\tmemory\tRedis\tHuma\n")
	for _, v := range s.Served {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", v.Part, v.Memory, v.Redis, v.Huma)
	}
	if s.DownMs >= 0 {
		fmt.Fprintf(w, "Redis\tgiven up %s after the fault's begin, %d times in all; used again %s after its end\n",
			millis(s.DownMs), s.Downs, millis(s.UpMs))
	}
}

func (run *Run) printFault(w io.Writer) {
	u := run.Upstream
	if run.Recovery.FirstToken < 0 && run.Recovery.Most < 0 && u.BreakerOpened == 0 && u.FaultCalls == 0 && u.FaultRefused <= 0 {
		return
	}
	fmt.Fprintf(w, "\nfault\tbreaker open %s after its begin, opened %d times in all\n", millis(u.BreakerOpenedMs), u.BreakerOpened)
	fmt.Fprintf(w, "calls during it\t%d attempted, %s connections refused on this machine; %d of both in its first 20s\n",
		u.FaultCalls, amount(u.FaultRefused), u.First20Calls)
	fmt.Fprintf(w, "recovery\tfirst token of a user without one: %s after its end; 99 %% tokens: %s\n",
		millis(run.Recovery.FirstToken), millis(run.Recovery.Most))
}

// counts lists the largest first.
func counts(m map[string]int) string {
	if len(m) == 0 {
		return "none"
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	var texts []string
	for _, k := range keys {
		texts = append(texts, fmt.Sprintf("%s: %d", k, m[k]))
	}
	return strings.Join(texts, ", ")
}

// pairs lists a map in the order of its keys.
func pairs(m map[string]string, sep, format string) string {
	var texts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		texts = append(texts, fmt.Sprintf(format, k, m[k]))
	}
	return strings.Join(texts, sep)
}

func amount(a process.Amount) string {
	if a < 0 {
		return "not available"
	}
	return fmt.Sprint(int64(a))
}

func size(a process.Amount) string {
	if a < 0 {
		return "not available"
	}
	return fmt.Sprintf("%.1f MiB", float64(a)/(1<<20))
}

func millis(ms float64) string {
	if ms < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1fs", ms/1000)
}
