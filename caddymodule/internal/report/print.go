package report

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/caddy-huma/caddy-huma/internal/command"
)

// Write writes the results of a command for people or, if asJSON is set, document. It
// returns the exit code.
func Write(w io.Writer, all []Entry, asJSON bool, document any) (int, error) {
	var err error
	if asJSON {
		err = command.WriteJSON(w, document)
	} else {
		err = PrinterFor(w).Print(w, all)
	}
	if err != nil || Count(all, Problem) > 0 {
		return command.Problem, err
	}
	return command.OK, nil
}

// Printer prints entries for people. The zero value prints no colors, and does not wrap
// lines.
type Printer struct {
	Width int  // number of columns after which lines are wrapped; 0: never
	Color bool // color the results
}

// PrinterFor returns the Printer for w. If w is a terminal, lines are wrapped at its
// width, and results are colored unless the environment variable NO_COLOR is set
// (no-color.org) or the terminal has no colors.
func PrinterFor(w io.Writer) Printer {
	if !isTerminal(w) {
		return Printer{}
	}
	width, _, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil {
		width = 0
	}
	return Printer{Width: width, Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colors maps results to their escape sequences (ECMA-48, SGR).
var colors = map[Result]string{OK: "\x1b[32m", Warning: "\x1b[33m", Problem: "\x1b[31m"}

const colorEnd = "\x1b[0m"

// Print prints entries, grouped by consecutive equal subjects, and a summary. A subject
// may have several lines. Each entry is one line, followed by a line with the fix if there
// is one. Without entries it prints nothing.
func (p Printer) Print(w io.Writer, all []Entry) error {
	if len(all) == 0 {
		return nil
	}
	out := bufio.NewWriter(w)
	all, total := fold(all), all
	checks, results := 0, 0
	for _, e := range all {
		checks, results = max(checks, utf8.RuneCountInString(e.Check)), max(results, len(e.Result))
	}
	indent := len("  ") + checks + len("  ") + results + len("  ")
	for i, e := range all {
		if e.Subject != "" && (i == 0 || e.Subject != all[i-1].Subject) {
			for line := range strings.SplitSeq(e.Subject, "\n") {
				_, _ = fmt.Fprintln(out, printable(line))
			}
		}
		// The escape sequences have no width, so pad the result before it is colored.
		result := fmt.Sprintf("%-*s", results, e.Result)
		if color := colors[e.Result]; p.Color && color != "" {
			result = color + result + colorEnd
		}
		_, _ = fmt.Fprintf(out, "  %-*s  %s  %s\n", checks, e.Check, result, p.wrap(e.Detail, indent))
		if e.Fix != "" {
			_, _ = fmt.Fprintf(out, "%*s→ %s\n", indent, "", p.wrap(e.Fix, indent+2))
		}
	}
	_, _ = fmt.Fprintln(out, summary(total))
	return out.Flush()
}

// fold replaces successive entries that are skipped for the same reason by the first one,
// if there are more than two.
func fold(all []Entry) (folded []Entry) {
	for i := 0; i < len(all); {
		first, n := all[i], 1
		for i+n < len(all) && first.Result == Skipped && all[i+n].Result == Skipped &&
			all[i+n].Detail == first.Detail && all[i+n].Subject == first.Subject {
			n++
		}
		if n <= 2 {
			folded = append(folded, all[i:i+n]...)
		} else {
			first.Detail += fmt.Sprintf(" (and the next %s)", command.Plural(n-1, "check"))
			folded = append(folded, first)
		}
		i += n
	}
	return folded
}

// minText is the minimum width of wrapped text. In a narrower terminal lines are not
// wrapped, since the terminal's own wrapping is easier to read.
const minText = 24

// wrap returns text as lines that fit between column indent and the width of the Printer.
// All but the first line are indented. A word that does not fit is not split, so that
// commands and URLs can be copied.
func (p Printer) wrap(text string, indent int) string {
	text = printable(text)
	width := p.Width - indent
	if width < minText {
		return text
	}
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
		case used+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

// printable returns text on one line, without characters that are not printable, which
// could move the cursor of a terminal, or change the direction of text.
func printable(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
