package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// unknown is a figure that there is not.
const unknown = -1

// Report is what a comparison tells.
type Report struct {
	Machine string `json:"machine"`
	Table

	// Added is null if direct, proxy or cold was not measured.
	Added *Added `json:"added"`

	// ToPython is what warm and cold are to python, by their names; null if
	// python was not measured.
	ToPython map[string]Sample `json:"toPython"`
}

// Table is what was measured of some kinds, compared with the first of them.
type Table struct {
	Kinds []Kind `json:"kinds"`
}

// Kind is what was measured of one kind. Medians and means are those of its rounds.
type Kind struct {
	Name   string   `json:"name"`
	Rounds []Sample `json:"rounds"`
	Median Sample   `json:"median"`

	// Ratios are those to the first kind in the same round, and Ratio is their
	// medians.
	Ratios []Sample `json:"ratios"`
	Ratio  Sample   `json:"ratio"`

	// Mean is of all rounds together, each request counting the same, and MeanRatio
	// the ratio of the means. A median does not see what is rare, such as the
	// collection of a large heap, nor what else disturbs a few rounds; a mean sees
	// both.
	Mean      Sample `json:"mean"`
	MeanRatio Sample `json:"meanRatio"`
}

// Sample is a round of one kind, or what it is to another one. -1 is unknown.
type Sample struct {
	Rate        float64 `json:"requestsPerSecond"`
	P50         float64 `json:"p50Ms"`
	P99         float64 `json:"p99Ms"`
	CPU         float64 `json:"cpuSecondsPer1000"`           // of the process that answers
	Connections float64 `json:"connectionsAtServicePer1000"` // that were opened
}

// figures are a Sample's, as a list.
func (s *Sample) figures() []*float64 {
	return []*float64{&s.Rate, &s.P50, &s.P99, &s.CPU, &s.Connections}
}

// Added is what is added to the service's own latency, in milliseconds, and the
// ratio of both: medians of all rounds.
type Added struct {
	Proxy float64 `json:"proxyMs"`
	Cold  float64 `json:"coldMs"`
	Ratio float64 `json:"ratio"`
}

func newTable(kinds []kind) (t Table) {
	for _, k := range kinds {
		t.Kinds = append(t.Kinds, Kind{Name: k.name})
	}
	return t
}

// find returns what was measured of a kind, or nil.
func (t *Table) find(name string) *Kind {
	i := slices.IndexFunc(t.Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &t.Kinds[i]
}

// conclude makes medians and ratios of the rounds.
func (t *Table) conclude() {
	for i := range t.Kinds {
		k := &t.Kinds[i]
		k.Ratios = k.to(&t.Kinds[0])
		k.Median, k.Ratio, k.Mean = medians(k.Rounds), medians(k.Ratios), mean(k.Rounds)
		k.MeanRatio = k.Mean.to(t.Kinds[0].Mean)
	}
}

// to is how many times another kind's figures this one's are, round by round.
func (k *Kind) to(other *Kind) (ratios []Sample) {
	for round := range k.Rounds {
		ratios = append(ratios, k.Rounds[round].to(other.Rounds[round]))
	}
	return ratios
}

// addedTo is by how much its median latency is above another kind's: the median of
// all rounds.
func (k *Kind) addedTo(other *Kind) float64 {
	var added []float64
	for round := range k.Rounds {
		added = append(added, k.Rounds[round].P50-other.Rounds[round].P50)
	}
	return median(added)
}

// conclude makes of the medians what is said of them.
func (r *Report) conclude() {
	direct, proxy, cold, python := r.find(kindDirect), r.find(kindProxy), r.find(kindCold), r.find(kindPython)
	if direct != nil && proxy != nil && cold != nil {
		r.Added = &Added{Proxy: proxy.addedTo(direct), Cold: cold.addedTo(direct)}
		if r.Added.Ratio = unknown; r.Added.Proxy > 0 {
			r.Added.Ratio = r.Added.Cold / r.Added.Proxy
		}
	}
	if python == nil {
		return
	}
	r.ToPython = make(map[string]Sample)
	for _, name := range []string{kindWarm, kindCold} {
		if k := r.find(name); k != nil {
			r.ToPython[name] = medians(k.to(python))
		}
	}
}

// to is how many times another sample's figures this one's are.
func (s Sample) to(other Sample) Sample {
	mine, others := s.figures(), other.figures()
	for i := range mine {
		if *mine[i] == unknown || *others[i] <= 0 {
			*mine[i] = unknown
			continue
		}
		*mine[i] /= *others[i]
	}
	return s
}

// medians are those of each figure.
func medians(samples []Sample) (m Sample) {
	for i, figure := range m.figures() {
		var values []float64
		for _, s := range samples {
			values = append(values, *s.figures()[i])
		}
		*figure = median(values)
	}
	return m
}

// mean is what a request has met on average, in rounds that are equally long. What
// is unknown in one is so in all.
func mean(samples []Sample) (m Sample) {
	for _, s := range samples {
		m.Rate += s.Rate / float64(len(samples))
	}
	for i, figure := range m.figures()[1:] {
		for _, s := range samples {
			value := *s.figures()[1+i]
			if value == unknown {
				*figure = unknown
				break
			}
			*figure += value * s.Rate / (m.Rate * float64(len(samples)))
		}
	}
	return m
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	middle := len(v) / 2
	if len(v)%2 == 0 {
		return (v[middle-1] + v[middle]) / 2
	}
	return v[middle]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// print implements report.
func (r *Report) print(out io.Writer) error {
	fmt.Fprintln(out, r.Machine)
	if err := r.Table.print(out); err != nil {
		return err
	}
	for _, name := range []string{kindProxy, kindCold} {
		if k := r.find(name); k != nil {
			fmt.Fprintf(out, "\n%s: %.2f new connections at the service per 1,000 requests", name, k.Mean.Connections)
		}
	}
	if r.Added != nil {
		fmt.Fprintf(out, "\nadded to the service's own median latency: proxy %.3f ms, cold %.3f ms, %s", r.Added.Proxy, r.Added.Cold, number(r.Added.Ratio, " ×"))
	}
	for _, name := range []string{kindWarm, kindCold} {
		if s, found := r.ToPython[name]; found {
			fmt.Fprintf(out, "\n%s to python: requests/s %s, p50 %s, p99 %s, CPU %s", name, number(s.Rate, " ×"), number(s.P50, " ×"), number(s.P99, " ×"), number(s.CPU, " ×"))
		}
	}
	_, err := fmt.Fprintln(out)
	return err
}

// print writes the rounds and their medians for people.
func (t *Table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "requests/s\tp50 ms\tp99 ms\tCPU s/1000\tto " + t.Kinds[0].Name + ": requests/s\tp50\tp99\tCPU\t\n"
	row := func(label string, s, ratio Sample) {
		fmt.Fprintf(w, "%s\t", label)
		for _, f := range s.figures()[:4] {
			fmt.Fprintf(w, "%s\t", number(*f, ""))
		}
		for _, f := range ratio.figures()[:4] {
			fmt.Fprintf(w, "%s\t", number(*f, " ×"))
		}
		fmt.Fprintln(w)
	}
	for i := range t.Kinds[0].Rounds {
		fmt.Fprintf(w, "\nround %d\t%s", i+1, head)
		for _, k := range t.Kinds {
			row(k.Name, k.Rounds[i], k.Ratios[i])
		}
	}
	fmt.Fprintf(w, "\nmeans\t%s", head)
	for _, k := range t.Kinds {
		row(k.Name, k.Mean, k.MeanRatio)
	}
	fmt.Fprintf(w, "\nmedians\t%s", head)
	for _, k := range t.Kinds {
		row(k.Name, k.Median, k.Ratio)
	}
	return w.Flush()
}

// number writes a figure with three digits that say something.
func number(v float64, unit string) string {
	switch {
	case v == unknown:
		return "–"
	case v >= 100:
		return fmt.Sprintf("%.0f%s", v, unit)
	case v >= 0.1:
		return fmt.Sprintf("%.3f%s", v, unit)
	}
	return fmt.Sprintf("%.4f%s", v, unit)
}
