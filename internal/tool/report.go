package tool

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is the result of a tool: a table, and single figures.
type Report struct {
	Machine string            `json:"machine"` // see process.Machine
	Options map[string]string `json:"options"` // the flags on the command line
	Title   string            `json:"title"`   // of the table
	Rows    []Row             `json:"rows"`
	Figures []Figure          `json:"figures"`

	// Violations are the guarantees that were violated. Nil: the tool checks none.
	Violations []string `json:"violations,omitempty"`

	// Columns are the names of the values in the table, in order. Columns without values
	// are omitted.
	Columns []string `json:"-"`
}

// Values are measured numbers by name.
type Values map[string]float64

// Row is a row of the table.
type Row struct {
	Name   string   `json:"name"`
	Values Values   `json:"values"`
	Ratios Values   `json:"ratios,omitempty"` // of Values to those of the reference row
	Rounds []Values `json:"rounds,omitempty"` // the measured rounds; Values are their medians
}

// Figure is a single result.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Add adds a figure.
func (r *Report) Add(name string, value float64) { r.Figures = append(r.Figures, Figure{name, value}) }

// Row returns the row with a name, or nil if there is none.
func (r *Report) Row(name string) *Row {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Rows[i]
}

// Millis returns a duration in milliseconds.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Print writes the report as text.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s; %s\n\n\t", r.Machine, r.Title)
	columns := slices.DeleteFunc(slices.Clone(r.Columns), func(name string) bool {
		return !slices.ContainsFunc(r.Rows, func(row Row) bool { _, found := row.Values[name]; return found })
	})
	ratios := slices.ContainsFunc(r.Rows, func(row Row) bool { return len(row.Ratios) > 0 })
	for _, name := range columns {
		fmt.Fprintf(w, "%s\t", name)
		if ratios {
			fmt.Fprint(w, "×\t")
		}
	}
	for _, row := range r.Rows {
		fmt.Fprintf(w, "\n%s\t", row.Name)
		for _, name := range columns {
			fmt.Fprintf(w, "%s\t", row.Values.text(name))
			if ratios {
				fmt.Fprintf(w, "%s\t", row.Ratios.text(name))
			}
		}
	}
	fmt.Fprint(w, "\n\n")
	for _, f := range r.Figures {
		fmt.Fprintf(w, "%s: %s\n", f.Name, number(f.Value))
	}
	for _, violation := range r.Violations {
		fmt.Fprintf(w, "VIOLATION: %s\n", violation)
	}
	if r.Violations != nil && len(r.Violations) == 0 {
		fmt.Fprintln(w, "no violations")
	}
	return w.Flush()
}

// text formats a value, or returns a dash if it is missing.
func (v Values) text(name string) string {
	if f, found := v[name]; found {
		return number(f)
	}
	return "–"
}

// number formats integers and numbers of at least 100 without decimals, and others with
// three decimals.
func number(v float64) string {
	if v >= 100 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
