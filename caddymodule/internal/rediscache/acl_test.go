package rediscache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

//go:generate go test . -run ^TestDocs_ -update

// The rule for the user, without its name, as written in a shell, and the additional
// rules for a database other than 0 and for a cluster.
const (
	aclRule = `reset on '>the-password' '~caddy-huma:*' resetchannels '&caddy-huma:news' \
  +ping +get +set +del +unlink +pttl +pexpire +scan \
  +hget +hmget +hset +hdel +hlen +hkeys \
  +eval +evalsha +publish +subscribe`
	aclDB      = "+select"
	aclCluster = "+cluster|slots +asking"
)

// TestDocs_ACL checks that docs/redis.md has the rule.
func TestDocs_ACL(t *testing.T) {
	golden.Part(t, "../../../docs/redis.md", "acl", "```sh\nredis-cli ACL SETUSER huma "+aclRule+"\n```\n\n"+
		"Both patterns begin with `key_prefix`. Some options need additional permissions:\n\n"+
		"| option | permissions |\n|---|---|\n"+
		"| `db` other than 0 | `"+aclDB+"` |\n"+
		"| `cluster on` | `"+strings.ReplaceAll(aclCluster, "|", `\|`)+"` |\n")
}

// rule returns the rule with additional rules.
func rule(more ...string) []string {
	return append(strings.Fields(strings.NewReplacer(`\`, "", "'", "").Replace(aclRule)), more...)
}

// setUser creates a user with a rule.
func setUser(r *redistest.Server, name string, rule ...string) {
	r.Do(append([]string{"ACL", "SETUSER", name}, rule...)...)
}

// as returns an edit of a Config that sets a user with aclRule.
func as(name string) func(*Config) {
	return func(c *Config) { c.Username, c.Password = name, masked.New("the-password") }
}

// refused returns what a server has refused, as "user command".
func refused(r *redistest.Server) (all []string) {
	for _, entry := range r.Do("ACL", "LOG").([]any) {
		e := entry.([]any)
		all = append(all, fmt.Sprint(e[9], " ", e[7]))
	}
	return all
}

// useAll uses all operations of a Store and ignores their results.
func useAll(ctx context.Context, s opened, user exchange.UserKey) {
	a, u := s.account("a"), s.locks("s")
	for i := range 10 { // more variants than are stored
		_, _, seen, _ := a.Get(ctx, user, "k0")
		_, _ = a.Put(ctx, user, exchange.Variant(fmt.Sprint("k", i)), storetest.RecordOf("t", time.Minute), seen, true)
	}
	_, _ = a.Put(ctx, user, "k0", storetest.RecordOf("t", -time.Minute), "", false)
	for _, end := range []exchange.SignUpEnd{{}, {Hold: time.Minute}, {Exists: true}} {
		l, _ := u.Lock(ctx, user, time.Minute)
		_, _ = u.Peek(ctx, user)
		_ = u.Release(ctx, user, l, end, time.Minute)
		_ = u.Unhold(ctx, user)
	}
	_ = a.Evict(ctx, user)
	_ = a.Flush(ctx)
}

// TestACL tests a user that may do what the store does, and nothing else.
func TestACL(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	setUser(r, "app", rule()...)
	runSuites(t, ready(t, r.Addr(), as("app")), ready(t, r.Addr(), as("app")))
	if log := refused(r); len(log) > 0 {
		t.Errorf("it has tried what it may not: %q", log)
	}

	other := open(t, r.Addr(), as("app"), func(c *Config) { c.KeyPrefix = "other:" })
	other.wantWhy(t, "NOPERM")
	wantDown(t, other)

	setUser(r, "mute", rule("resetchannels")...)
	s := open(t, r.Addr(), as("mute"))
	s.wantWhy(t, "can't publish") // replicas need the messages
	if _, err := s.account("a").Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), "", false); !errors.Is(err, exchange.ErrDown) {
		t.Errorf("Put = %v", err)
	}

	db := func(c *Config) { c.DB = 3 }
	open(t, r.Addr(), as("app"), db).wantWhy(t, "NOPERM")
	setUser(r, "db", rule(aclDB)...)
	useAll(t.Context(), ready(t, r.Addr(), as("db"), db), "u")
	if log := refused(r); slices.ContainsFunc(log, func(s string) bool { return strings.HasPrefix(s, "db ") }) {
		t.Errorf("with a database: %q", log)
	}
}

// TestACLIsMinimal checks that each command of aclRule is needed.
func TestACLIsMinimal(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	commands := 0
	for i, word := range rule() {
		command, ok := strings.CutPrefix(word, "+")
		if !ok {
			continue
		}
		commands++
		user := "without-" + command
		setUser(r, user, slices.Delete(rule(), i, i+1)...)
		r.Do("SCRIPT", "FLUSH") // so that they are sent
		s := open(t, r.Addr(), as(user))
		eventually(t, 10*time.Second, "it is known if it is there", func() bool {
			return readEvents(s.events, func() bool { return len(s.states) > 0 })
		})
		useAll(t.Context(), s, "u")
		eventually(t, 10*time.Second, "it was refused "+command, func() bool { return slices.Contains(refused(r), user+" "+command) })
		s.Close()
	}
	if commands < 10 {
		t.Errorf("%d commands", commands)
	}
}

// testACL checks the additional rules for a cluster and for a master behind
// sentinels.
func testACL(t *testing.T) {
	wantNone := func(servers ...*redistest.Server) {
		t.Helper()
		for _, r := range servers {
			if log := refused(r); len(log) > 0 {
				t.Errorf("it has tried what it may not: %q", log)
			}
		}
	}
	nodes := startCluster(t)
	for _, r := range nodes {
		setUser(r, "app", rule(strings.Fields(aclCluster)...)...)
	}
	s := ready(t, nodes[0].Addr(), as("app"), func(c *Config) { c.Cluster = true })
	for i := range 30 {
		useAll(t.Context(), s, userOf(i))
	}
	// A slot that is migrating: keys that are no longer there are requested from the
	// new node.
	a := s.account("a")
	slot := strconv.FormatInt(nodes[0].Do("CLUSTER", "KEYSLOT", a.prefix+keyOf("u")).(int64), 10)
	ids := make([]string, len(nodes))
	for i, r := range nodes {
		ids[i] = r.Text("CLUSTER", "MYID")
	}
	from := slices.IndexFunc(nodes, func(r *redistest.Server) bool { return holds(r, slot) })
	to := (from + 1) % len(nodes)
	nodes[to].Do("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from])
	nodes[from].Do("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
	put(t, a, "u", "t")
	wantToken(t, a, "u", "t")
	if nodes[to].CommandCalls("asking") == 0 {
		t.Error("the new node received no ASKING command")
	}
	wantNone(nodes...)

	master := startServer(t)
	setUser(master, "app", rule()...)
	sentinel := redistest.Sentinel(t, master)
	useAll(t.Context(), ready(t, sentinel.Addr(), as("app"), func(c *Config) { c.MasterName = "mymaster" }), "u")
	wantNone(master)
}

// holds reports whether a node has a slot.
func holds(r *redistest.Server, slot string) bool {
	n, _ := strconv.ParseInt(slot, 10, 64)
	for _, entry := range r.Do("CLUSTER", "SLOTS").([]any) {
		e := entry.([]any)
		if e[0].(int64) <= n && n <= e[1].(int64) {
			return e[2].([]any)[2] == r.Text("CLUSTER", "MYID")
		}
	}
	return false
}
