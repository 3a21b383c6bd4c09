package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

const redisPassword = "canary-password"

// redisFailure is a way in which Redis does not serve.
type redisFailure struct {
	name    string   // as the manual calls it
	server  []string // its arguments
	port    int      // where Caddy looks for it; 0: where it is
	options string   // of redis in the Caddyfile

	// before breaks it before Caddy starts, after once it is used.
	before, after func(t *testing.T, r *redistest.Server)

	// says are the ways in which the error in the log may begin, of what the
	// manual has no row for.
	says []string
}

// redisCommand is a failure that a command brings about.
func redisCommand(args ...string) func(*testing.T, *redistest.Server) {
	return func(_ *testing.T, r *redistest.Server) { r.Do(args...) }
}

// withUser makes a user who may do what the rules say.
func withUser(rules ...string) func(*testing.T, *redistest.Server) {
	return redisCommand(append([]string{"ACL", "SETUSER", "app", "on", ">" + redisPassword}, rules...)...)
}

// eventuallyTold waits until INFO or the like has a text.
func eventuallyTold(t *testing.T, r *redistest.Server, text string, command ...string) {
	t.Helper()
	eventually(t, joins, text, func() bool { return strings.Contains(r.Text(command...), text) })
}

// cannotSave makes a Redis fail to save to disk, after which it takes no writes.
func cannotSave(t *testing.T, r *redistest.Server) {
	t.Helper()
	name := filepath.Join(r.Texts("CONFIG", "GET", "dir")[1], "dump.rdb")
	if err := os.MkdirAll(filepath.Join(name, "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.Do("CONFIG", "SET", "save", "3600 1")
	r.Do("SET", "something", "to save", "PX", "60000")
	r.Do("BGSAVE")
	eventuallyTold(t, r, "rdb_last_bgsave_status:err", "INFO", "persistence")
}

func redisFailures(t *testing.T) []redisFailure {
	kill := func(_ *testing.T, r *redistest.Server) { r.Kill() }
	cert, key := newAuthority(t, "that of Redis").server()
	tlsPort := redistest.FreePort(t)
	tls := []string{"--tls-port", strconv.Itoa(tlsPort), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no", "--tls-ca-cert-file", cert}
	replica := redisCommand("REPLICAOF", "127.0.0.1", strconv.Itoa(redistest.FreePort(t)))
	const asUser = "username app\npassword " + redisPassword

	return []redisFailure{
		{name: "not there when Caddy starts", before: kill},
		{name: "ends, or starts anew", after: kill},
		{name: "hangs", after: func(_ *testing.T, r *redistest.Server) { r.Stop() }},
		{name: "wants a password", server: []string{"--requirepass", "right"}},
		{name: "another password", server: []string{"--requirepass", "right"}, options: "password " + redisPassword},
		{name: "not allowed", options: asUser, before: withUser("~other:*", "&*", "+@all")},
		{name: "does not let us hear the others", options: asUser, before: withUser("~*", "&*", "+@all", "-subscribe")},
		{name: "no command is allowed", options: asUser, before: withUser("~*", "&*", "+hello", "+ping"), says: []string{"redis: NOPERM"}},
		{name: "only reading is allowed", options: asUser, before: withUser("~*", "&*", "+hello", "+ping", "+@read", "+subscribe"), says: []string{"redis: NOPERM"}},
		{name: "unknown authority", server: tls, port: tlsPort, options: "tls_enabled on"},
		{name: "TLS there only", server: tls, port: tlsPort},
		{name: "TLS here only", options: "tls_enabled on"},
		{name: "read-only", after: replica},
		{name: "read-only from the start", before: replica, says: []string{"redis: READONLY"}},
		{name: "full", after: redisCommand("CONFIG", "SET", "maxmemory", "1mb")},
		{name: "full from the start", server: []string{"--maxmemory", "1"}, says: []string{"redis: OOM"}},
		{name: "cannot save", after: cannotSave},
		{name: "cannot save from the start", before: cannotSave, says: []string{"redis: MISCONF"}},
		{name: "too few replicas of its own", after: redisCommand("CONFIG", "SET", "min-replicas-to-write", "1")},
		{name: "loads its data", server: []string{"--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"},
			after: func(_ *testing.T, r *redistest.Server) {
				r.Do("DEBUG", "POPULATE", "20000", "other", "100")
				r.Do("SAVE")
				r.Kill()
				r.Run()
			}},
		{name: "a cluster without all its slots", options: "cluster on",
			server: []string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(redistest.FreePort(t))},
			before: func(t *testing.T, r *redistest.Server) {
				r.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
				eventuallyTold(t, r, "cluster_state:ok", "CLUSTER", "INFO")
			},
			after: redisCommand("CLUSTER", "DELSLOTSRANGE", "0", "16383")},
	}
}

// TestRedis_Failures: whatever is wrong with Redis, who is known gets a token,
// who is new is signed up, who leaves is forgotten,
// and the log says what the manual says that it does.
func TestRedis_Failures(t *testing.T) {
	redistest.Need(t)
	failures, documented := redisFailures(t), errorsOfManual(t)
	for name := range documented {
		if !slices.ContainsFunc(failures, func(f redisFailure) bool { return f.name == name }) {
			t.Errorf("nothing tests the manual's %q", name)
		}
	}
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			if f.says == nil {
				why, ok := documented[f.name]
				if !ok {
					t.Error("the manual has no row of this name")
				}
				f.says = why
			}
			f.test(t, humaProvider) // what the store does is the same for both
		})
	}
}

// open starts a site, and breaks its Redis.
func (f redisFailure) open(t *testing.T, p provider) (*site, *fakeHuma) {
	t.Helper()
	r := redistest.Start(t, f.server...)
	fake := newHuma(t, sandbox.Config{})
	p.knows(fake, "known@x.example")
	if f.before != nil {
		f.before(t, r)
	}
	text := withRedis(r, "1m", f.options)
	if f.port != 0 {
		text = strings.ReplaceAll(text, r.Addr(), "127.0.0.1:"+strconv.Itoa(f.port))
	}
	s := serve(t, p.site(fake, text))
	if f.after != nil {
		s.shared(1)
		f.after(t, r)
	}
	return s, fake
}

func (f redisFailure) test(t *testing.T, p provider) {
	s, fake := f.open(t, p)
	token := func(user string) string { return s.request("GET", p.ask(), as(user)).token(t, p) }
	token("early@x.example")
	f.isTold(t, s)
	known, made := token("known@x.example"), token("new@x.example")
	if token("known@x.example") != known || token("new@x.example") != made {
		t.Error("another token the second time")
	}
	signUps := 0
	if p.second == sandbox.OpSignUp {
		signUps = 2
	}
	p.only(t, fake, 3, signUps)
	if a := s.request("DELETE", p.path, as("known@x.example")); a.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", a.StatusCode)
	}
	if token("known@x.example") == known {
		t.Error("the token is still there")
	}
}

// isTold waits until the log tells, once, that the store cannot be used, and why,
// and nothing that is nobody's business.
func (f redisFailure) isTold(t *testing.T, s *site) {
	t.Helper()
	const message = "the shared store cannot be used: this replica works for itself"
	var entry struct{ Level, Logger, Msg, Error string }
	eventually(t, joins, "the log says why", func() bool {
		lines := s.lines(message)
		return len(lines) == 1 && json.Unmarshal([]byte(lines[0]), &entry) == nil
	})
	if entry.Level != "warn" || entry.Logger != "huma.redis" || entry.Msg != message || !slices.ContainsFunc(f.says, begins(entry.Error)) {
		t.Errorf("the log has %+v, want %q", entry, f.says)
	}
	s.noSecretsInLog(redisPassword, redisKey, "known@x.example", "new@x.example")
}

// begins reports whether an error begins with a text, with whatever addresses.
func begins(err string) func(text string) bool {
	return func(text string) bool { return strings.HasPrefix(withoutAddresses(err), withoutAddresses(text)) }
}

// errorsOfManual reads the manual's table of failures: the ways in which the error
// that the log has begins, by name.
func errorsOfManual(t *testing.T) map[string][]string {
	t.Helper()
	errs := make(map[string][]string)
	row := regexp.MustCompile("(?m)^\\| ([^|]+) \\| (`[^|]+`) \\|")
	for _, cells := range row.FindAllStringSubmatch(manualTable(t, "failures"), -1) {
		for _, text := range strings.Split(strings.Trim(cells[2], "`"), "`, or `") {
			why, _, _ := strings.Cut(text, "…") // the rest is left out
			errs[cells[1]] = append(errs[cells[1]], why)
		}
	}
	return errs
}

// manualTable is a table of the manual.
func manualTable(t *testing.T, name string) string {
	t.Helper()
	manual, err := os.ReadFile("../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(manual), "<!-- "+name+" -->\n")
	table, _, ok2 := strings.Cut(rest, "<!-- end of "+name+" -->\n")
	if !ok || !ok2 {
		t.Fatalf("the manual has no table of %s", name)
	}
	return table
}

var addresses = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)

// withoutAddresses is a text with all addresses the same.
func withoutAddresses(text string) string { return addresses.ReplaceAllString(text, "ADDRESS") }
