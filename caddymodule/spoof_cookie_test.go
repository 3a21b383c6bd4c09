package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestB7_SpoofCookie checks that a signed assertion in a cookie identifies the user, with
// any other headers of the client.
func TestB7_SpoofCookie(t *testing.T) {
	const name = "__session"
	p := signedPresetOf("cloudflare_access")
	keys := serveKeys(t, layerP256(), layerRSA())
	site := strings.NewReplacer("email SOURCE", "email {cookie."+name+"} email", "user_id SOURCE", "user_id {http.request.cookie."+name+"} sub").
		Replace("SITE {\nhuma_token {\nHUMA\nidentity {\nemail SOURCE\nuser_id SOURCE\nverify {\n" + strings.ReplaceAll(p.verify, "KEYS", keys) + "\n}\n}\n}\n}")
	cookie := func(values ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, value := range values {
				r.Header["Cookie"] = []string{strings.TrimPrefix(strings.Join(append(r.Header["Cookie"], name+"="+value), "; "), "; ")}
			}
		}
	}
	d := open(t, site)
	stolen := p.tokenFor(mallory)
	spoofs := p.forged.spoofs()
	spoofs["an assertion elsewhere"] = []func(*http.Request){
		header("Authorization", "Bearer "+stolen), header(p.header, stolen), header(name, stolen), header("X-"+name, stolen),
		func(r *http.Request) {
			for _, other := range []string{"session", "__Session", name + ".0", "__Host-" + name, "CF_Authorization"} {
				r.AddCookie(&http.Cookie{Name: other, Value: stolen})
			}
		},
	}
	n := 0
	for what, edits := range spoofs {
		t.Run(what, func(t *testing.T) {
			n++
			edits := slices.Clip(edits)
			email := fmt.Sprintf("user-%d@x.example", n)
			d.wantTokenOf(t, email, path+"?x=1", append(edits, cookie(p.tokenFor(ada.with(email))))...)
			d.wantRejection(t, 401, "identity_missing", path+"?x=1", edits...)
			d.wantRejection(t, 401, "identity_missing", path+"?x=1", append(edits, cookie(p.tokenFor(ada.with(nil))))...)
			d.wantRejection(t, 401, "identity_ambiguous", path+"?x=1", append(edits, cookie(p.tokenFor(ada), stolen))...)
			d.wantUsers(t, 1)
			d.huma.Reset()
		})
	}
	good := p.tokenFor(ada)
	for _, line := range []string{
		name + "=" + good + "; " + name, name + "; " + name + "=" + good, name + "=" + good + "; " + name + " =" + stolen, name + "=; " + name + "=" + good,
	} {
		d.wantRejection(t, 401, "identity_ambiguous", path, header("Cookie", line))
	}
	d.wantRejection(t, 401, "identity_ambiguous", path, header("Cookie", name+"="+good), header("Cookie", name+"="+stolen))
	for _, value := range []string{
		"Bearer " + good, `"` + good + `"`, good + "x", unsigned(p.payload(ada)), "ada@x.example", good[:len(good)-4] + "AAAA",
		p.write(p.method, p.attackersKey(), p.joseHeader(), document(replaceMembers(p.payload(ada), tokenTimes()))),
	} {
		d.wantRejection(t, 401, "identity_invalid", path, header("Cookie", name+"="+value))
	}
	d.wantRejection(t, 403, "email_unverified", path, cookie(p.sign(replaceMembers(replaceMembers(p.payload(ada), tokenTimes()), map[string]any{"email_verified": false}))))
	d.wantUsers(t, 0)
	d.notLogged(t, "@x.example", "@evil.example", "eyJ")
}
