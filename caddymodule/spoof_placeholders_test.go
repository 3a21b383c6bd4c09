package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// plugin are the headers in which layers that set placeholders pass their
// users on to an application.
var plugin = headerPreset{
	name: "plugin", email: "X-Token-User-Email", id: "X-Token-Subject", full: "X-Token-User-Name", first: "X-Token-User-First", last: "X-Token-User-Last",
	also: []string{"X-Token-User-Roles", "Remote-User", "Tailscale-User"},
}

func TestSpoofBasicAuth(t *testing.T) {
	d := open(t, "SITE {\n"+accounts+"\nhuma_token {\nHUMA\nidentity basic_auth\n}\n}")
	for name, edits := range plugin.spoofs() {
		t.Run(name, func(t *testing.T) {
			edits := slices.Clip(edits)
			for _, account := range []string{"alice@x.example", "bob@x.example"} {
				d.granted(t, account, path+"?x=1", append(edits, password(account))...)
			}
			d.stopped(t, 401, path+"?x=1", edits...)
			d.stopped(t, 401, path+"?x=1", append(edits, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "") })...)
		})
	}
	d.named(t, "alice@x.example", "", "")
	d.onlyTheirs(t, 2)
	d.quiet(t, "@x.example", "@evil.example")
}

func TestSpoofPlaceholders(t *testing.T) {
	spoofs := plugin.spoofs()
	for _, p := range placeholderPresets {
		t.Run(p.name, func(t *testing.T) {
			d := open(t, p.site())
			n := 0
			for name, edits := range spoofs {
				t.Run(name, func(t *testing.T) {
					n++
					edits := slices.Clip(edits)
					full, plain := fmt.Sprintf("full-%d@x.example", n), fmt.Sprintf("plain-%d@x.example", n)
					d.granted(t, full, path+"?x=1", append(edits, p.signsIn(t, ada.with(full)))...)
					d.named(t, full, "Zoë", "Ångström")
					d.granted(t, plain, path+"?x=1", append(edits, p.signsIn(t, person{email: plain}))...)
					d.named(t, plain, "", "")
					d.refused(t, 401, "identity_missing", path+"?x=1", append(edits, p.signsIn(t, ada.with(nil)))...)
					d.refused(t, 401, "identity_missing", path+"?x=1", append(edits, p.signsIn(t, person{}))...)
					d.stopped(t, 401, path+"?x=1", edits...)
					d.onlyTheirs(t, 2)
					d.huma.Reset()
				})
			}
			d.quiet(t, "@x.example", "@evil.example", "Mallory", "Zo")
		})
	}
}

func TestSpoofCaddySecurity(t *testing.T) {
	d := open(t, portalSite)
	for name, edits := range plugin.spoofs() {
		t.Run(name, func(t *testing.T) {
			edits := slices.Clip(edits)
			d.granted(t, "ada@x.example", path+"?x=1", append(edits, session("ada"))...)
			d.granted(t, "bob@x.example", path+"?x=1", append(edits, session("bob"))...)
			for _, nobody := range []string{"bypass", "without", "empty"} {
				d.refused(t, 401, "identity_missing", path+"?x=1", append(edits, session(nobody))...)
			}
			d.stopped(t, 401, path+"?x=1", edits...)
		})
	}
	d.onlyTheirs(t, 2)
	d.quiet(t, "@x.example", "@evil.example")
}
