package openapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sessionCookie is the cookie of the fake auth server, with the name of the document.
const sessionCookie = "session"

// startAuthServer starts a fake auth server, and returns its address. A session is the
// kind of the user and a number, such as user.7.
func startAuthServer(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie(sessionCookie)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		kind, number, _ := strings.Cut(cookie.Value, ".")
		email, id, verified := "user-"+number+"@clinic.example", "user-"+number, "true"
		switch kind {
		case "forbidden":
			w.WriteHeader(http.StatusForbidden)
			return
		case "down":
			w.WriteHeader(http.StatusInternalServerError)
			return
		case "twice":
			w.Header().Add("Remote-Email", email)
			w.Header().Add("Remote-User", id)
		case "invalid":
			email, id = "nobody", "null"
		case "unverified":
			verified = "false"
		case "elsewhere":
			email = "user@other.example"
		}
		w.Header().Add("Remote-Email", email)
		w.Header().Add("Remote-User", id)
		w.Header().Set("Remote-Verified", verified)
		http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: cookie.Value})
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// webOrigin is the origin of a web app that the sites allow.
const webOrigin = "https://web.clinic.example"

// The parts of a directive that identify the user.
const (
	byAuthServer = `identity {
			auth_server http://AUTH
			email Remote-Email
			user_id Remote-User
			verified Remote-Verified
			domains clinic.example
		}`
	byLoopback = `identity {
			email X-Email
			user_id X-User
		}
		trust proxies 127.0.0.0/8`
	byProxy = `identity {
			email X-Email
			user_id X-User
		}
		trust proxies 192.0.2.0/24`
	byToken = `identity {
			email Authorization email
			user_id Authorization sub
			verify {
				issuer https://login.clinic.example
				audience clinic-app
				jwks http://CLOSED/keys
			}
		}`
	byBrokenPlugin = `identity {
			email {broken}
			user_id {broken}
		}`
)

// breakerOff keeps failures from affecting the responses to later requests.
const breakerOff = "\n\t\tbreaker off"

// site returns a site with both directives. secret is the name of the environment variable
// with the secret: directives with different ones have different accounts. common are
// options of both directives, huma those of huma_token.
func site(host, secret, common, huma string) string {
	return fmt.Sprintf(`
http://%[1]s:PORT {
	test_broken
	huma_token {
		api http://SITES
		project_id p1
		deployment_id d1
		client_id ios c1
		client_id android c2
		client_id web c3
		secret {env.%[2]s}
		%[4]s
		allow_origins `+webOrigin+`
		retries 0
		%[3]s
	}
	human_api_token {
		api http://SITES
		client_id hapi1
		client_secret {env.%[2]s}
		allow_origins `+webOrigin+`
		retries 0
		%[3]s
	}
}
`, host, secret, common, huma)
}

// global are the global options of all configs, and the sandbox.
const global = `{
	default_bind 127.0.0.1
	persist_config off
	admin ADMIN
	skip_install_trust
}
http://SITES {
	huma_sandbox
}
`

// appHost is the host of the site for most requests, as in the document.
const appHost = "app.example.com"

// The names of the configs. The admin API is tested with the last three.
const (
	configSites  = "sites"
	configSmall  = "two directives"
	configRedis  = "huma_token with Redis, which is down"
	configNoHuma = "no directive"
)

var configs = map[string]string{
	configSites: global +
		site(appHost, "SECRET", byAuthServer+breakerOff, "") +
		site("closed.test", "SECRET", byAuthServer+breakerOff, "registration off") +
		site("slow.test", "SECRET", byAuthServer+breakerOff+"\n\t\ttimeout 300ms", "") +
		site("limited.test", "SECRET_LIMITED", byAuthServer+breakerOff, "registration {\n\t\t\trate 1/h 1\n\t\t}") +
		site("busy.test", "SECRET_BUSY", byLoopback+breakerOff+"\n\t\tmax_concurrent 1\n\t\tmax_waiting 1", "") +
		site("proxy.test", "SECRET", byProxy+breakerOff, "") +
		site("token.test", "SECRET", byToken+breakerOff, "") +
		site("broken.test", "SECRET", byBrokenPlugin+breakerOff, ""),

	configSmall: global + site(appHost, "SECRET", byAuthServer, ""),

	configRedis: global + `
http://` + appHost + `:PORT {
	huma_token {
		api http://SITES
		project_id p1
		deployment_id d1
		client_id c1
		secret {env.SECRET}
		` + byAuthServer + `
		cache {
			redis {
				address CLOSED
				encryption_keys MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
			}
		}
	}
}
`,
	configNoHuma: global,
}
