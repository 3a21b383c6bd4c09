package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestRotation_OneLinePerAccount checks that the handlers of one account log a change of
// the file that they all read once.
func TestRotation_OneLinePerAccount(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		service := newRotating(t)
		service.addUsers(p, "a@x.example")
		file := secretFiles["rename"](t, oldSecret)
		const handlers = 4
		text := "SITE {\n"
		for i := range handlers {
			text += p.block(fmt.Sprint("/", i), p.options(service.fakeHuma), "")
		}
		s := serve(t, strings.ReplaceAll(text+"}", oldSecret, "{file."+file.path+"}"))
		tokens := func() (all [handlers]string) {
			for i := range handlers {
				all[i] = s.request("GET", fmt.Sprint("/", i, "?", p.query), as("a@x.example")).token(t, p)
			}
			return all
		}
		replace := func(secret string, next *fakeHuma, times int) {
			t.Helper()
			before := tokens()
			file.replace(t, secret)
			service.now.Store(next)
			eventually(t, 2*rotationTimeout, "all handlers use the new secret", func() bool {
				for i, token := range tokens() {
					if token == before[i] {
						return false
					}
				}
				return true
			})
			if n := len(s.logLines("credentials reloaded")); n != times {
				t.Errorf("%d lines after change %d", n, times)
			}
		}
		replace(newSecret, service.next, 1)
		file.replace(t, "")
		eventually(t, 3*rotationTimeout, "the log says so", func() bool { return len(s.logLines("cannot reload credentials")) > 0 })
		replace(oldSecret, service.fakeHuma, 2)
		if failed, readable := len(s.logLines("cannot reload credentials")), len(s.logLines("can be read again")); failed != 1 || readable != 1 {
			t.Errorf("%d and %d lines about the empty file", failed, readable)
		}
	})
}
