package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// tokenReport is the output of caddy huma token.
type tokenReport struct {
	Directive    string           `json:"directive"`
	Outcome      exchange.Outcome `json:"outcome,omitempty"`
	Code         exchange.Code    `json:"code,omitempty"`
	Detail       string           `json:"detail,omitempty"`
	Cause        string           `json:"cause,omitempty"`
	Fix          string           `json:"fix,omitempty"`
	Token        json.RawMessage  `json:"token,omitempty"` // body of the endpoint's response
	Signed       string           `json:"signed,omitempty"`
	Calls        []callReport     `json:"calls"`
	Milliseconds float64          `json:"milliseconds"`

	title   string // the directive with its file and line, as text
	service *endpoint.Service
}

// callReport is one call to the service.
type callReport struct {
	Method       string         `json:"method"`
	URL          string         `json:"url"`
	Proxy        string         `json:"proxy,omitempty"`
	Status       int            `json:"status,omitempty"`
	Error        string         `json:"error,omitempty"`
	Milliseconds float64        `json:"milliseconds"`
	Request      *messageReport `json:"request,omitempty"` // with --trace
	Response     *messageReport `json:"response,omitempty"`
}

// messageReport is a recorded request or response of a call. Values that are not known to
// be harmless are masked.
type messageReport struct {
	Header []string `json:"header"`
	Body   string   `json:"body,omitempty"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func reportCalls(calls []record.Call, trace bool) []callReport {
	reports := make([]callReport, 0, len(calls))
	for _, c := range calls {
		r := callReport{Method: c.Method, URL: c.URL, Proxy: c.Proxy, Status: c.Status, Milliseconds: milliseconds(c.Took)}
		if c.Err != nil {
			r.Error = c.Err.Error()
		}
		if trace {
			r.Request = reportMessage(c.Request)
			if c.Status != 0 {
				r.Response = reportMessage(c.Response)
			}
		}
		reports = append(reports, r)
	}
	return reports
}

func reportMessage(m record.Message) *messageReport {
	r := &messageReport{Body: m.Body}
	for _, f := range m.Header {
		r.Header = append(r.Header, f.Name+": "+f.Value)
	}
	return r
}

// fill sets the result of the exchange. register reports whether the flag --register was
// set, signUpAllowed whether the config allows sign-ups.
func (r *tokenReport) fill(result *dryrun.Result, register, signUpAllowed bool) {
	if result.Code == "" {
		r.Outcome, r.Token = result.Outcome, json.RawMessage(result.Response.Reveal())
		return
	}
	r.Code, r.Detail, r.Cause = result.Code, result.Detail, result.Cause()
	switch {
	case result.Code == exchange.CodeRefused, result.Code == exchange.CodeConfig:
		r.Detail += " " + sentence(r.service.RefusalHint)
	case result.Code != exchange.CodeNotRegistered:
	case !signUpAllowed:
		r.Detail = "The service does not know this user, and the config has `registration off`."
	case !register:
		r.Detail = r.service.UnknownUser
	}
	if e, known := result.ConfigExplanation(); known {
		r.Detail, r.Fix = sentence(e.Text), e.Fix
	} else if e, known = problem.Explain(result.Err); known && result.Code == exchange.CodeRefused {
		r.Detail = sentence(e.Text)
	}
}

// sentence returns text with a capital first letter and a full stop at its end. text must
// not be empty.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// lifetimes lists the members of a token response with the remaining seconds of a token.
var lifetimes = []struct{ member, of string }{
	{"authTokenExpiresIn", "auth token"},
	{"refreshTokenExpiresIn", "refresh token"},
	{"expires_in", "token"},
}

func (r *tokenReport) print(w io.Writer) error {
	_, _ = fmt.Fprintln(w, r.title)
	if r.Signed != "" {
		_, _ = fmt.Fprintf(w, "  signature: %s\n", r.Signed)
	}
	if err := printCalls(w, r.Calls); err != nil {
		return err
	}
	took := fmt.Sprintf("%s, %.0f ms", command.Plural(len(r.Calls), "call"), r.Milliseconds)
	if r.Code != "" {
		_, _ = fmt.Fprintf(w, "  → no token: %s (%s)\n    %s\n", r.Code, took, r.Detail)
		if r.Cause != "" {
			_, _ = fmt.Fprintf(w, "    %s\n", r.Cause)
		}
		if r.Fix != "" {
			_, _ = fmt.Fprintf(w, "    fix: %s\n", r.Fix)
		}
		return nil
	}
	message := map[exchange.Outcome]string{
		exchange.OutcomeSignedIn:   "token issued",
		exchange.OutcomeRegistered: "token issued; the user was signed up",
	}[r.Outcome]
	_, _ = fmt.Fprintf(w, "  → %s (%s)\n", message, took)
	var response map[string]any
	_ = json.Unmarshal(r.Token, &response) // the endpoint writes valid JSON
	for _, l := range lifetimes {
		if seconds, ok := response[l.member].(float64); ok {
			_, _ = fmt.Fprintf(w, "    %s expires in %s\n", l.of, time.Duration(seconds)*time.Second)
		}
	}
	return nil
}

// printCalls prints a line for each call, and with --trace also its headers and bodies.
func printCalls(w io.Writer, calls []callReport) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, c := range calls {
		result := fmt.Sprint(c.Status)
		if c.Error != "" {
			result = c.Error
		}
		if c.Proxy != "" {
			result += ", through the proxy " + c.Proxy
		}
		_, _ = fmt.Fprintf(t, "  %s %s\t%.0f ms\t%s\n", c.Method, c.URL, c.Milliseconds, result)
		if c.Request == nil {
			continue
		}
		if err := t.Flush(); err != nil {
			return err
		}
		c.Request.print(w, ">")
		if c.Response != nil {
			c.Response.print(w, "<")
		}
	}
	return t.Flush()
}

func (m *messageReport) print(w io.Writer, mark string) {
	for _, line := range append(m.Header, m.Body) {
		if line != "" {
			_, _ = fmt.Fprintf(w, "    %s %s\n", mark, line)
		}
	}
}
