package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/process"
)

// unknown is a figure that there is not.
const unknown = -1

// Report is what the program tells.
type Report struct {
	Machine string `json:"machine"`
	Kinds   []Kind `json:"kinds"`

	// Added is null if direct, proxy or cold was not measured.
	Added *Added `json:"added"`
}

// Kind is what was measured of one kind. Medians are those of its rounds.
type Kind struct {
	Name   string   `json:"name"`
	Rounds []Sample `json:"rounds"`
	Median Sample   `json:"median"`

	// Ratios are those to respond of the same round, and Ratio is their medians.
	Ratios []Sample `json:"ratios"`
	Ratio  Sample   `json:"ratio"`
}

// Sample is a round of one kind, or what it is to another one. -1 is unknown.
type Sample struct {
	Rate        float64 `json:"requestsPerSecond"`
	P50         float64 `json:"p50Ms"`
	P99         float64 `json:"p99Ms"`
	CPU         float64 `json:"cpuSecondsPer1000"`           // of the Caddy process
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

func newReport(kinds []kind) *Report {
	r := &Report{Machine: process.Machine()}
	for _, k := range kinds {
		r.Kinds = append(r.Kinds, Kind{Name: k.name})
	}
	return r
}

// find returns what was measured of a kind, or nil.
func (r *Report) find(name string) *Kind {
	i := slices.IndexFunc(r.Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Kinds[i]
}

// conclude makes medians and ratios of the rounds.
func (r *Report) conclude() {
	respond := r.find(kindRespond)
	for i := range r.Kinds {
		k := &r.Kinds[i]
		for round := range k.Rounds {
			k.Ratios = append(k.Ratios, k.Rounds[round].to(respond.Rounds[round]))
		}
		k.Median, k.Ratio = medians(k.Rounds), medians(k.Ratios)
	}
	direct, proxy, cold := r.find(kindDirect), r.find(kindProxy), r.find(kindCold)
	if direct == nil || proxy == nil || cold == nil {
		return
	}
	var byProxy, byCold []float64
	for i, d := range direct.Rounds {
		byProxy = append(byProxy, proxy.Rounds[i].P50-d.P50)
		byCold = append(byCold, cold.Rounds[i].P50-d.P50)
	}
	r.Added = &Added{Proxy: median(byProxy), Cold: median(byCold)}
	r.Added.Ratio = r.Added.Cold / r.Added.Proxy
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

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	middle := len(v) / 2
	if len(v)%2 == 0 {
		return (v[middle-1] + v[middle]) / 2
	}
	return v[middle]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// print writes the report for people.
func (r *Report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, r.Machine)
	const heads = "requests/s\tp50 ms\tp99 ms\tCPU s/1000\t"
	row := func(label string, s Sample, ratio *Sample) {
		fmt.Fprintf(w, "%s\t", label)
		for _, f := range s.figures()[:4] {
			fmt.Fprintf(w, "%s\t", number(*f, ""))
		}
		if ratio != nil {
			for _, f := range ratio.figures()[:4] {
				fmt.Fprintf(w, "%s\t", number(*f, " ×"))
			}
		}
		fmt.Fprintln(w)
	}
	for i := range r.Kinds[0].Rounds {
		fmt.Fprintf(w, "\nround %d\t%sto respond: requests/s\tp50\tp99\tCPU\t\n", i+1, heads)
		for _, k := range r.Kinds {
			row(k.Name, k.Rounds[i], &k.Ratios[i])
		}
	}
	fmt.Fprintf(w, "\nmedians\t%sto respond: requests/s\tp50\tp99\tCPU\t\n", heads)
	for _, k := range r.Kinds {
		row(k.Name, k.Median, &k.Ratio)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, name := range []string{kindProxy, kindCold} {
		if k := r.find(name); k != nil {
			fmt.Fprintf(out, "\n%s: %.2f new connections at the service per 1,000 requests", name, k.Median.Connections)
		}
	}
	if r.Added != nil {
		fmt.Fprintf(out, "\nadded to the service's own median latency: proxy %.3f ms, cold %.3f ms, %.2f ×", r.Added.Proxy, r.Added.Cold, r.Added.Ratio)
	}
	_, err := fmt.Fprintln(out)
	return err
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
