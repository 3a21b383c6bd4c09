package tool

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is the result of a tool: a table, and figures below it.
type Report struct {
	Machine string            `json:"machine"`
	Options map[string]string `json:"options"` // the flags that were given
	Title   string            `json:"title"`   // of the table
	Rows    []Row             `json:"rows"`
	Figures []Figure          `json:"figures"`

	// Violations are the promises that were broken. nil: the tool checks none.
	Violations []string `json:"broken,omitempty"`

	// Columns are the values in the table, in order. Those that no row has are left
	// out.
	Columns []string `json:"-"`
}

// Values are numbers by name. A value that was not measured is missing.
type Values map[string]float64

// Row is a row of the table.
type Row struct {
	Name   string   `json:"name"`
	Values Values   `json:"values"`
	Ratios Values   `json:"ratios,omitempty"` // to the row that it is compared with
	Rounds []Values `json:"rounds,omitempty"` // of which Values are the medians
}

// Figure is a result that is not in the table.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Add adds a figure.
func (r *Report) Add(name string, value float64) { r.Figures = append(r.Figures, Figure{name, value}) }

// Row returns a row, or nil if there is no such row.
func (r *Report) Row(name string) *Row {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Rows[i]
}

// Millis returns a duration in milliseconds.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Print writes the report for people.
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
	for _, what := range r.Violations {
		fmt.Fprintf(w, "BROKEN: %s\n", what)
	}
	if r.Violations != nil && len(r.Violations) == 0 {
		fmt.Fprintln(w, "all promises were kept")
	}
	return w.Flush()
}

// text formats a value.
func (v Values) text(name string) string {
	if f, found := v[name]; found {
		return number(f)
	}
	return "–"
}

// number formats whole numbers as such, and others with three significant digits or
// more.
func number(v float64) string {
	if v >= 100 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
