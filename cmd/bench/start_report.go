package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// StartReport is what the comparison of starts tells.
type StartReport struct {
	Machine string `json:"machine"`
	Pairs   []Pair `json:"pairs"`

	// Median is of all pairs, and Ratio is the median of the pairs' ratios, with
	// the plugin to without.
	Median Pair   `json:"median"`
	Ratio  Start  `json:"ratio"`
	Sizes  []Size `json:"sizes"`
}

// Pair is a start with the plugin and one without, one after the other.
type Pair struct {
	With    Start `json:"with"`
	Without Start `json:"without"`
}

// Start is what it took from the start of the process to its first answer, in
// milliseconds, or a ratio of that. -1 is unknown.
type Start struct {
	Wall float64 `json:"wallMs"`
	CPU  float64 `json:"cpuMs"`
}

// Size is how large the files are, in bytes.
type Size struct {
	How     string `json:"how"` // how they were built
	With    int64  `json:"with"`
	Without int64  `json:"without"`
}

// size looks at the files.
func (r *StartReport) size(how, with, without string) error {
	a, err := os.Stat(with)
	if err != nil {
		return err
	}
	b, err := os.Stat(without)
	if err != nil {
		return err
	}
	r.Sizes = append(r.Sizes, Size{how, a.Size(), b.Size()})
	return nil
}

// conclude makes medians of the pairs.
func (r *StartReport) conclude() {
	of := func(figure func(Pair) float64) float64 {
		var values []float64
		for _, p := range r.Pairs {
			values = append(values, figure(p))
		}
		return median(values)
	}
	r.Median.With = Start{of(func(p Pair) float64 { return p.With.Wall }), of(func(p Pair) float64 { return p.With.CPU })}
	r.Median.Without = Start{of(func(p Pair) float64 { return p.Without.Wall }), of(func(p Pair) float64 { return p.Without.CPU })}
	r.Ratio = Start{of(func(p Pair) float64 { return p.With.Wall / p.Without.Wall }), unknown}
	if r.Median.Without.CPU != unknown {
		r.Ratio.CPU = of(func(p Pair) float64 { return p.With.CPU / p.Without.CPU })
	}
}

// print implements report.
func (r *StartReport) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\n\nmedians of %d pairs\twith the plugin\twithout\tratio\t\n", r.Machine, len(r.Pairs))
	row := func(label string, with, without, ratio float64) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", label, number(with, ""), number(without, ""), number(ratio, " ×"))
	}
	row("ms to the first answer", r.Median.With.Wall, r.Median.Without.Wall, r.Ratio.Wall)
	row("ms of processor time until then", r.Median.With.CPU, r.Median.Without.CPU, r.Ratio.CPU)
	const mega = 1 << 20
	for _, s := range r.Sizes {
		row("MiB, "+s.How, float64(s.With)/mega, float64(s.Without)/mega, float64(s.With)/float64(s.Without))
	}
	return w.Flush()
}
