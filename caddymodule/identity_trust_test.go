package caddymodule_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestI04_ResponseWithoutAddress(t *testing.T) {
	l := newLayer(t)
	for _, c := range []struct {
		name        string
		more, trust string
	}{
		{"alone", "", "trust forward_auth"},
		{"copied", "copy_headers Remote-User Remote-Email Remote-Name", "trust forward_auth"},
		{"copied under another name", "copy_headers Remote-Email>X-Email", "trust forward_auth"},
		{"with the upstream", "copy_headers Remote-Email", "trust forward_auth " + l.hostport()},
		{"copied, with trust proxies", "copy_headers Remote-Email", "trust proxies 127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, forwardAuthTrust(l, c.more, "identity authelia", c.trust))
			client := header("Remote-Email", "mallory@evil.example")
			for _, headers := range []http.Header{nil, {"Remote-User": {"alice"}}, {"Remote-Email": {""}}, {"Remote-Email": {" "}}, {"Remote_Email": {"a@x.example"}}} {
				for _, status := range []int{200, 202, 204} {
					l.setResponse(status, headers)
					d.wantRejection(t, 401, "identity_missing", path, client)
					d.wantRejection(t, 401, "identity_missing", path)
				}
			}
			l.setHeaders(http.Header{"Remote-Email": {"alice@x.example"}})
			d.wantTokenOf(t, "alice@x.example", path, client)
			d.wantTokenOf(t, "alice@x.example", path)
			l.setHeaders(http.Header{"Remote-Email": {"a@x.example", "b@x.example"}})
			d.wantRejection(t, 401, "identity_invalid", path, client)
			// forward_auth rejects the request unless the auth server accepts it.
			for _, status := range []int{401, 403, 302, 500} {
				l.setResponse(status, http.Header{"Remote-Email": {"alice@x.example"}, "Location": {"/login"}})
				d.wantNoToken(t, status, path, client)
			}
			d.notLogged(t, "@x.example", "@evil.example")
		})
	}
}

func TestI05_PeersOutside(t *testing.T) {
	const forwarded = "10.0.0.1, 127.0.0.1"
	for _, c := range []struct {
		name          string
		server, trust string // the trusted addresses of the server and of the directive
		ok            bool
	}{
		{"this peer", "", "127.0.0.1", true},
		{"its range", "", "10.0.0.0/8 127.0.0.0/8", true},
		{"the server's", "127.0.0.1", "", true},
		{"another peer", "", "127.0.0.2", false},
		{"another range", "", "10.0.0.0/8 192.168.0.0/16 ::1", false},
		{"the server's are others", "10.0.0.0/8", "", false},
		{"the directive wins, untrusted", "127.0.0.1", "10.0.0.0/8", false},
		{"the directive wins, trusted", "10.0.0.0/8", "127.0.0.1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(trustingSite, "trust proxies 127.0.0.1", "trust proxies "+c.trust, 1)
			d := openEdited(t, text, func(server map[string]any) {
				server["client_ip_headers"] = []string{"X-Forwarded-For", "X-Real-Ip"}
				if c.server != "" {
					server["trusted_proxies"] = map[string]any{"source": "static", "ranges": []string{c.server}}
				}
			})
			for _, edit := range []func(*http.Request){
				func(*http.Request) {}, header("X-Forwarded-For", forwarded), header("X-Real-Ip", "10.0.0.1"),
				header("Forwarded", "for=10.0.0.1"), header("X-Forwarded-For", "10.0.0.1"),
			} {
				if c.ok {
					d.wantTokenOf(t, "a@x.example", path, as("a@x.example"), edit)
				} else {
					d.wantRejection(t, 401, "identity_untrusted", path, as("a@x.example"), edit)
				}
			}
			if !c.ok && len(d.huma.Users()) != 0 {
				t.Error("Huma has new users")
			}
			// Without the header, trust does not matter.
			d.wantRejection(t, 401, "identity_missing", path)
			if w := d.warnings(""); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
			d.notLogged(t, "@x.example")
		})
	}
}

func TestI05_NoProxiesAtAll(t *testing.T) {
	d := open(t, strings.Replace(trustingSite, "trust proxies 127.0.0.1", "trust proxies", 1))
	for range 20 {
		d.wantRejection(t, 401, "identity_untrusted", path, as("a@x.example"), header("X-Forwarded-For", "127.0.0.1"))
	}
	d.warnedOnce(t, "the server's trusted_proxies")
	d.notLogged(t, "@x.example")
}

func TestI05_PrivateRanges(t *testing.T) {
	d := open(t, strings.Replace(trustingSite, "127.0.0.1", "private_ranges", 1))
	d.wantTokenOf(t, "a@x.example", path, as("a@x.example"))
}

func TestI15_AnotherProxyAfterwards(t *testing.T) {
	auth, other := newLayer(t), newLayer(t)
	client := header("Remote-Email", "mallory@evil.example")
	text := func(order, trust string) string {
		steps := ""
		for _, l := range strings.Fields(order) {
			upstream := map[string]string{"auth": auth.URL, "other": other.URL}[l]
			steps += "forward_auth " + upstream + " {\nuri /verify\ncopy_headers Remote-Email\n}\n"
		}
		return "SITE {\nroute {\n" + steps + "huma_token {\nHUMA\nidentity authelia\n" + trust + "\n}\n}\n}"
	}
	host, port, _ := net.SplitHostPort(auth.hostport())
	right := []string{
		"trust forward_auth " + auth.hostport(), "trust forward_auth " + auth.URL, "trust forward_auth tcp/" + auth.hostport(),
		"trust forward_auth HTTP://" + auth.hostport(), fmt.Sprintf("trust forward_auth h2c://%s:0%s", host, port),
	}
	wrong := "trust forward_auth " + other.hostport()

	t.Run("any upstream", func(t *testing.T) {
		auth.setHeaders(http.Header{"Remote-Email": {"alice@x.example"}})
		other.setHeaders(http.Header{"Remote-Email": {"other@x.example"}})
		d := open(t, text("auth other", "trust forward_auth"))
		d.wantTokenOf(t, "other@x.example", path, client) // the last response counts
		other.setHeaders(nil)
		d.wantRejection(t, 401, "identity_missing", path, client) // headers of the first response are not used
		d.notLogged(t, "@x.example", "@evil.example")
	})
	for _, trust := range right {
		t.Run(strings.NewReplacer(auth.hostport(), "HOST", port, "PORT").Replace(trust), func(t *testing.T) {
			auth.setHeaders(http.Header{"Remote-Email": {"alice@x.example"}})
			other.setHeaders(http.Header{"Remote-Email": {"other@x.example"}})
			open(t, text("auth", trust)).wantTokenOf(t, "alice@x.example", path, client)
			open(t, text("other auth", trust)).wantTokenOf(t, "alice@x.example", path, client)
			d := open(t, text("auth other", trust))
			d.wantRejection(t, 401, "identity_untrusted", path, client)
			other.setHeaders(nil)
			d.wantRejection(t, 401, "identity_untrusted", path, client)
			d.notLogged(t, "@x.example", "@evil.example")
		})
	}
	t.Run("the wrong upstream", func(t *testing.T) {
		auth.setHeaders(http.Header{"Remote-Email": {"alice@x.example"}})
		open(t, text("auth", wrong)).wantRejection(t, 401, "identity_untrusted", path, client)
		auth.setHeaders(nil)
		open(t, text("auth", wrong)).wantRejection(t, 401, "identity_untrusted", path, client)
	})
	t.Run("none at all", func(t *testing.T) {
		d := open(t, text("", right[0]))
		d.wantRejection(t, 401, "identity_missing", path, client)
		d.wantRejection(t, 401, "identity_missing", path, client)
		d.warnedOnce(t, "no forward_auth ran before this handler")
	})
}

func TestI16_ValuesThatAreNotText(t *testing.T) {
	for _, c := range []struct {
		name          string
		mapping, code string
	}{
		{"a miss", "/other a@x.example", "identity_missing"},
		{"nothing", `default ""`, "identity_missing"},
		{"a number", "default 007", "identity_invalid"},
		{"a quoted number", `default "007"`, "identity_invalid"},
		{"a number's output", path + " 7", "identity_invalid"},
		{"a boolean", path + " true", "identity_invalid"},
		{"a fraction", path + " 1.50", "identity_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, placeholderSite("{user_email}", "map {path} {user_email} {\n"+c.mapping+"\n}"))
			d.wantRejection(t, 401, c.code, path)
		})
	}
	for _, c := range []struct {
		name  string
		value any
		code  string // the error code or the user
	}{
		{"a list of two", []any{"a@x.example", "b@x.example"}, "identity_invalid"},
		{"the same twice", []any{"a@x.example", "a@x.example"}, "identity_invalid"},
		{"an empty list", []any{}, "identity_missing"},
		{"a list of nothing", []any{nil}, "identity_missing"},
		{"a list of a number", []any{7}, "identity_invalid"},
		{"a list of a list", []any{[]any{"a@x.example"}}, "identity_invalid"},
		{"a list of an object", []any{map[string]any{"email": "a@x.example"}}, "identity_invalid"},
		{"a number", 7, "identity_invalid"},
		{"a boolean", true, "identity_invalid"},
		{"an object", map[string]any{"email": "a@x.example"}, "identity_invalid"},
		{"null", nil, "identity_missing"},
		{"a list of one", []any{"a@x.example"}, "a@x.example"},
		{"text", "a@x.example", "a@x.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openEdited(t, placeholderSite("{http.vars.user_email}", ""), func(server map[string]any) {
				vars := map[string]any{"handle": []any{map[string]any{"handler": "vars", "user_email": c.value}}}
				server["routes"] = append([]any{vars}, server["routes"].([]any)...)
			})
			if strings.Contains(c.code, "@") {
				d.wantTokenOf(t, c.code, path)
			} else {
				d.wantRejection(t, 401, c.code, path)
			}
			d.notLogged(t, "@x.example")
		})
	}
}

// TestC5_ResponseThatDenies checks that a response without a 2xx status identifies no
// user, even if the config continues the request after it.
func TestC5_ResponseThatDenies(t *testing.T) {
	status := new(atomic.Int32)
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Remote-Email", "ada@x.example")
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(auth.Close)
	d := open(t, `SITE {
		route {
		reverse_proxy `+auth.URL+` {
			method GET
			rewrite /verify
			@any status 2xx 3xx 4xx 5xx
			handle_response @any {
				vars continued yes
			}
		}
		huma_token {
			HUMA
			identity authelia
			trust forward_auth
		}
		}
	}`)
	for _, ok := range []int32{200, 202, 204} {
		status.Store(ok)
		d.wantTokenOf(t, "ada@x.example", path)
	}
	for _, denied := range []int32{302, 304, 401, 403, 404, 500} {
		status.Store(denied)
		a := d.wantRejection(t, 401, "identity_missing", path)
		d.rejectedFor(t, a, "does not have a 2xx status")
	}
}
