package caddymodule_test

import (
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestE4_UserinfoCA checks that an application with a certificate of a private authority
// is called only if the option ca names the authority.
func TestE4_UserinfoCA(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "the clinic's authority")
	other := testutil.NewAuthority(t.TempDir(), "another authority")
	app := serveTLS(t, respondText(200, `{"email":"ada@x.example"}`), testutil.Loopback(), ca)
	text := "SITE {\n"
	for at, option := range map[string]string{path: "ca " + ca.File, "/without": "", "/other": "ca " + other.File} {
		text += "huma_token " + at + " {\nHUMA\nuserinfo " + app + "/me {\nemail email\n" + option + "\n}\n}\n"
	}
	d := open(t, text+"respond 404\n}")
	d.wantTokenOf(t, "ada@x.example", path, cookie("x"))
	d.wantRejection(t, 503, "identity_unavailable", "/without", cookie("x"))
	d.wantRejection(t, 503, "identity_unavailable", "/other", cookie("x"))
	if len(d.warnings("userinfo request failed")) == 0 {
		t.Error("the reason is not logged")
	}
	wantProblem(t, validateText(t, directive(withUserinfo(app+"/me", "email email", "ca /nowhere/ca.pem")...)), "ca:", "no such file")
}
