package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pocketbase is PocketBase with its own database. The tests use its command line and its
// API.
type pocketbase struct {
	*process
	binary       string
	dir, address string
	url          string // the URL of the API
	admin        http.Header
}

const password = "an-invented-password"

// startPocketbase runs PocketBase with a superuser.
func startPocketbase(t *testing.T) *pocketbase {
	t.Helper()
	binary, err := pocketbaseBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := &pocketbase{binary: binary, dir: t.TempDir(), address: "127.0.0.1:" + freePort(t)}
	p.url = "http://" + p.address + "/api"
	ctx, cancel := context.WithTimeout(t.Context(), processTimeout)
	defer cancel()
	create := exec.CommandContext(ctx, p.binary, append(p.args(), "superuser", "create", "root@pocketbase.example", password)...)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.serve(t)
	p.admin = p.signIn(t, "_superusers", "root@pocketbase.example")
	return p
}

func (p *pocketbase) args() []string {
	return []string{"--dir", filepath.Join(p.dir, "pb_data"), "--publicDir", filepath.Join(p.dir, "pb_public"), "--dev=false", "--automigrate=false", "--hooksWatch=false"}
}

// serve starts or restarts PocketBase.
func (p *pocketbase) serve(t *testing.T) {
	t.Helper()
	p.process = start(t, p.dir, p.address, nil, p.binary, append(p.args(), "serve", "--http", p.address)...)
}

// must calls the API and returns the object in the response.
func (p *pocketbase) must(t *testing.T, method, path string, header http.Header, body any) map[string]any {
	t.Helper()
	a := do(t, method, p.url+path, header, body)
	if a.status != http.StatusOK {
		t.Fatalf("PocketBase: %s %s: %d %s", method, path, a.status, a.body)
	}
	return a.json
}

// signIn signs a user in, as an app does, and returns the headers with the session.
func (p *pocketbase) signIn(t *testing.T, collection, email string) http.Header {
	t.Helper()
	a := p.must(t, http.MethodPost, "/collections/"+collection+"/auth-with-password", nil,
		map[string]any{"identity": email, "password": password})
	return http.Header{"Authorization": {a["token"].(string)}}
}

// signUp creates a user and returns its id.
func (p *pocketbase) signUp(t *testing.T, email, name string, verified bool) string {
	t.Helper()
	a := p.must(t, http.MethodPost, "/collections/users/records", p.admin, map[string]any{
		"email": email, "name": name, "verified": verified, "password": password, "passwordConfirm": password,
	})
	return a["id"].(string)
}

// change changes a user.
func (p *pocketbase) change(t *testing.T, id string, members map[string]any) {
	t.Helper()
	p.must(t, http.MethodPatch, "/collections/users/records/"+id, p.admin, members)
}

// startUserinfoSite runs PocketBase and a site with userinfo. PocketBase's default rule
// for the list of users is that each user has access to their own record.
func startUserinfoSite(t *testing.T, more string) (*pocketbase, *site) {
	t.Helper()
	p, port := startPocketbase(t), freePort(t)
	return p, startSite(t, port, `http://127.0.0.1:`+port+` {
	huma_token {
		HUMA
		userinfo `+p.url+`/collections/users/records {
			email items.0.email
			user_id items.0.id
			name items.0.name
			`+more+`
		}
	}
	respond "the application"
}`)
}

// TestUserinfo checks that users of an application get tokens without a change of the
// application.
func TestUserinfo(t *testing.T) {
	p, s := startUserinfoSite(t, "")
	users := []struct{ email, name, first, last string }{
		{"ada@pocketbase.example", "Ada Lovelace", "Ada", "Lovelace"},
		{"Rene.M@pocketbase.example", "René Müller", "René", "Müller"},
		{"zhang@pocketbase.example", "张伟", "张伟", ""},
		{"hopper+navy@pocketbase.example", "Grace Brewster Hopper", "Grace Brewster", "Hopper"},
		{"nameless@pocketbase.example", "", "", ""},
	}
	sessions := map[string]http.Header{}
	for _, who := range users {
		p.signUp(t, who.email, who.name, true)
		sessions[who.email] = p.signIn(t, "users", who.email)
	}
	ada := sessions["ada@pocketbase.example"]

	t.Run("signed in", func(t *testing.T) {
		for _, who := range users {
			s.wantToken(t, sessions[who.email], who.email)
			s.wantNames(t, who.email, who.first, who.last)
		}
		if got := len(s.accounts(t)); got != len(users) {
			t.Errorf("Huma has %d users, want %d", got, len(users))
		}
	})
	t.Run("as a bearer token", func(t *testing.T) {
		s.wantToken(t, http.Header{"Authorization": {"Bearer " + ada.Get("Authorization")}}, "ada@pocketbase.example")
	})
	t.Run("no part of its response", func(t *testing.T) {
		theirs := do(t, http.MethodGet, p.url+"/collections/users/records", ada, nil)
		ours := s.token(t, ada)
		for name, values := range theirs.header {
			if !slices.Contains([]string{"Content-Length", "Content-Type", "Date", "X-Content-Type-Options"}, name) && slices.ContainsFunc(values, func(v string) bool { return slices.Contains(ours.header[name], v) }) {
				t.Errorf("the header %s", name)
			}
		}
		if strings.Contains(ours.body, "ada@") {
			t.Error(ours.body)
		}
	})
	t.Run("not signed in", func(t *testing.T) {
		token := ada.Get("Authorization")
		for name, header := range map[string]http.Header{
			"no session":       nil,
			"empty":            {"Authorization": {""}},
			"garbage":          {"Authorization": {"garbage"}},
			"another scheme":   {"Authorization": {"Basic YWRhOmFkYQ=="}},
			"unsigned":         {"Authorization": {token[:strings.LastIndex(token, ".")+1]}},
			"changed":          {"Authorization": {token[:len(token)-4] + "AAAA"}},
			"as a cookie":      {"Cookie": {"pb_auth=" + token}},
			"another header":   {"X-Authorization": {token}},
			"identity headers": {"Remote-Email": {"ada@pocketbase.example"}, "X-Forwarded-Email": {"ada@pocketbase.example"}, "X-Auth-Request-Email": {"ada@pocketbase.example"}, "Authorization": {"x"}},
		} {
			t.Run(name, func(t *testing.T) { s.wantRejection(t, header, http.StatusUnauthorized, "identity_missing") })
		}
	})
	t.Run("signed out", func(t *testing.T) {
		const email = "leaver@pocketbase.example"
		id := p.signUp(t, email, "Lea Ver", true)
		session := p.signIn(t, "users", email)
		s.wantToken(t, session, email)
		// A new password ends all sessions. The cached token is not served without a
		// session.
		p.change(t, id, map[string]any{"password": password, "passwordConfirm": password})
		s.wantRejection(t, session, http.StatusUnauthorized, "identity_missing")
		s.wantToken(t, p.signIn(t, "users", email), email)
	})
	t.Run("expired", func(t *testing.T) {
		const lifetime = 10 * time.Second // the minimum of PocketBase
		p.must(t, http.MethodPatch, "/collections/users", p.admin, map[string]any{"authToken": map[string]any{"duration": lifetime.Seconds()}})
		session, signedIn := p.signIn(t, "users", users[0].email), time.Now()
		s.wantToken(t, session, users[0].email)
		time.Sleep(time.Until(signedIn.Add(lifetime + time.Second)))
		s.wantRejection(t, session, http.StatusUnauthorized, "identity_missing")
		s.wantToken(t, ada, users[0].email) // an older session with its own lifetime
	})
	t.Run("concurrently", func(t *testing.T) {
		uids := s.accounts(t)
		var running sync.WaitGroup
		for range 20 {
			for _, who := range users {
				running.Go(func() {
					a := s.token(t, sessions[who.email])
					if a.status != http.StatusOK || a.json["uid"] != uids[who.email].UID {
						t.Errorf("%s: %d as %v", who.email, a.status, a.json["uid"])
					}
				})
			}
		}
		running.Wait()
	})
	t.Run("killed and restarted", func(t *testing.T) {
		p.kill(t)
		for range 3 {
			a := s.wantRejection(t, ada, http.StatusServiceUnavailable, "identity_unavailable")
			if got := a.header.Get("Retry-After"); got == "" {
				t.Error("no Retry-After")
			}
		}
		s.wantRejection(t, nil, http.StatusUnauthorized, "identity_missing") // the request has no session
		p.serve(t)
		s.wantToken(t, ada, "ada@pocketbase.example")
	})
	secrets := []string{"@pocketbase.example", "Lovelace"}
	for _, session := range sessions {
		secrets = append(secrets, session.Get("Authorization"))
	}
	s.wantNotLogged(t, secrets...)
}

// TestUserinfoUnverified checks that an address that is not verified is rejected without
// the option verified, because anyone can sign up with any address.
func TestUserinfoUnverified(t *testing.T) {
	p, s := startUserinfoSite(t, "")
	const email = "victim@pocketbase.example"
	id := p.signUp(t, email, "Mallory", false)
	session := p.signIn(t, "users", email)
	s.wantRejection(t, session, http.StatusForbidden, "email_unverified")
	p.change(t, id, map[string]any{"verified": true})
	s.wantToken(t, session, email)
}

// TestUserinfoVerified checks that a user with an address that is not verified gets no
// token.
func TestUserinfoVerified(t *testing.T) {
	p, s := startUserinfoSite(t, "verified items.0.verified")
	const email = "ada@pocketbase.example"
	id := p.signUp(t, email, "Ada Lovelace", false)
	session := p.signIn(t, "users", email)
	s.wantRejection(t, session, http.StatusForbidden, "email_unverified")
	p.change(t, id, map[string]any{"verified": true})
	s.wantToken(t, session, email)
	p.change(t, id, map[string]any{"verified": false})
	s.wantRejection(t, session, http.StatusForbidden, "email_unverified")

	// A changed address is not verified, and is another user of Huma.
	p.change(t, id, map[string]any{"verified": true, "email": "lovelace@pocketbase.example"})
	session = p.signIn(t, "users", "lovelace@pocketbase.example")
	s.wantToken(t, session, "lovelace@pocketbase.example")
	s.wantNotLogged(t, "@pocketbase.example", session.Get("Authorization"))
}

// TestUserinfoSuperuser checks that a superuser, who has access to all records, does not
// get the token of the first user in the list.
func TestUserinfoSuperuser(t *testing.T) {
	p, s := startUserinfoSite(t, "")
	for n := range 3 {
		p.signUp(t, fmt.Sprintf("user%d@pocketbase.example", n), "User", true)
	}
	list := p.must(t, http.MethodGet, "/collections/users/records", p.admin, nil)
	if got := list["totalItems"]; got != 3.0 {
		t.Fatalf("a superuser gets %v users", got)
	}
	s.wantRejection(t, p.admin, http.StatusUnauthorized, "identity_ambiguous")
}
