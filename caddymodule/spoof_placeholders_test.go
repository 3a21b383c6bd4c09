package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// pluginHeaders holds the headers in which layers that set placeholders pass their users
// to an application.
var pluginHeaders = headerPreset{
	name: "plugin", email: "X-Token-User-Email", id: "X-Token-Subject", full: "X-Token-User-Name", first: "X-Token-User-First", last: "X-Token-User-Last",
	also: []string{"X-Token-User-Roles", "Remote-User", "Tailscale-User"},
}

func TestSpoofBasicAuth(t *testing.T) {
	d := open(t, "SITE {\n"+accounts+"\nhuma_token {\nHUMA\nidentity basic_auth\n}\n}")
	for name, edits := range pluginHeaders.spoofs() {
		t.Run(name, func(t *testing.T) {
			edits := slices.Clip(edits)
			for _, account := range []string{"alice@x.example", "bob@x.example"} {
				d.wantTokenOf(t, account, path+"?x=1", append(edits, password(account))...)
			}
			d.wantNoToken(t, 401, path+"?x=1", edits...)
			d.wantNoToken(t, 401, path+"?x=1", append(edits, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "") })...)
		})
	}
	d.wantNames(t, "alice@x.example", "", "")
	d.wantUsers(t, 2)
	d.notLogged(t, "@x.example", "@evil.example")
}

func TestSpoofPlaceholders(t *testing.T) {
	spoofs := pluginHeaders.spoofs()
	for _, p := range placeholderPresets {
		t.Run(p.name, func(t *testing.T) {
			d := open(t, p.site())
			n := 0
			for name, edits := range spoofs {
				t.Run(name, func(t *testing.T) {
					n++
					edits := slices.Clip(edits)
					full, plain := fmt.Sprintf("full-%d@x.example", n), fmt.Sprintf("plain-%d@x.example", n)
					d.wantTokenOf(t, full, path+"?x=1", append(edits, p.signIn(t, ada.with(full)))...)
					d.wantNames(t, full, "Zoë", "Ångström")
					d.wantTokenOf(t, plain, path+"?x=1", append(edits, p.signIn(t, person{email: plain}))...)
					d.wantNames(t, plain, "", "")
					d.wantRejection(t, 401, "identity_missing", path+"?x=1", append(edits, p.signIn(t, ada.with(nil)))...)
					d.wantRejection(t, 401, "identity_missing", path+"?x=1", append(edits, p.signIn(t, person{}))...)
					d.wantNoToken(t, 401, path+"?x=1", edits...)
					d.wantUsers(t, 2)
					d.huma.Reset()
				})
			}
			d.notLogged(t, "@x.example", "@evil.example", "Mallory", "Zo")
		})
	}
}
