package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

const redisPassword = "canary-password"

// redisFailure is a failure of Redis.
type redisFailure struct {
	name string

	// errors lists possible beginnings of the logged error, with this address, and fix is
	// the documented solution. If fix is empty, the documentation does not have the
	// failure.
	errors []string
	fix    string

	server  []string // arguments of redis-server
	port    int      // the port in the Caddyfile; 0: the server's port
	options string   // further options of redis in the Caddyfile

	// before causes the failure before Caddy starts, and after once the store is used.
	before, after func(t *testing.T, r *redistest.Server)
}

// redisDocs is the file with the documentation of Redis.
const redisDocs = "../docs/redis.md"

// redisCommand causes a failure by a command.
func redisCommand(args ...string) func(*testing.T, *redistest.Server) {
	return func(_ *testing.T, r *redistest.Server) { r.Do(args...) }
}

// withUser creates a user with ACL rules.
func withUser(rules ...string) func(*testing.T, *redistest.Server) {
	return redisCommand(append([]string{"ACL", "SETUSER", "app", "on", ">" + redisPassword}, rules...)...)
}

// waitOutput waits until the output of a command contains text.
func waitOutput(t *testing.T, r *redistest.Server, text string, command ...string) {
	t.Helper()
	eventually(t, redisTimeout, text, func() bool { return strings.Contains(r.Text(command...), text) })
}

// cannotSave makes Redis fail to save to disk. It then rejects writes.
func cannotSave(t *testing.T, r *redistest.Server) {
	t.Helper()
	name := filepath.Join(r.Texts("CONFIG", "GET", "dir")[1], "dump.rdb")
	if err := os.MkdirAll(filepath.Join(name, "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.Do("CONFIG", "SET", "save", "3600 1")
	r.Do("SET", "something", "to save", "PX", "60000")
	r.Do("BGSAVE")
	waitOutput(t, r, "rdb_last_bgsave_status:err", "INFO", "persistence")
}

func redisFailures(t *testing.T) []redisFailure {
	kill := func(_ *testing.T, r *redistest.Server) { r.Kill() }
	cert, key := testutil.NewAuthority(t.TempDir(), "that of Redis").ServerFiles()
	tlsPorts := []int{redistest.FreePort(t), redistest.FreePort(t)}
	tls := func(port int) []string {
		return []string{"--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no", "--tls-ca-cert-file", cert}
	}
	replica := redisCommand("REPLICAOF", "127.0.0.1", strconv.Itoa(redistest.FreePort(t)))
	const asUser = "username app\npassword " + redisPassword

	return []redisFailure{
		{name: "not running when Caddy starts",
			errors: []string{"redis: dial tcp 10.0.0.5:6379: connect: connection refused"},
			fix:    "Start it. Is `address` correct?",
			before: kill},
		{name: "stops or restarts",
			errors: []string{"redis: dial tcp 10.0.0.5:6379: connect: connection refused"},
			fix:    "Start it",
			after:  kill},
		{name: "hangs",
			errors: []string{"redis: i/o timeout", "redis: timed out", "redis: responses take longer than the option timeout"},
			fix:    "Is the machine or the network overloaded? If Redis is far away, raise `timeout`",
			after:  func(_ *testing.T, r *redistest.Server) { r.Stop() }},
		{name: "requires a password",
			errors: []string{"redis: NOAUTH Authentication required."},
			fix:    "Set `password`",
			server: []string{"--requirepass", "right"}},
		{name: "wrong password",
			errors: []string{"redis: WRONGPASS invalid username-password pair or user is disabled."},
			fix:    "Correct `username` and `password`. After a change of a `{file.…}`, run `caddy reload --force`",
			server: []string{"--requirepass", "right"}, options: "password " + redisPassword},
		{name: "ACL denies the keys",
			errors:  []string{"redis: NOPERM this user has no permissions to access one of the keys used as arguments"},
			fix:     "Set the [ACL](#setting-up-redis). Does `key_prefix` match?",
			options: asUser, before: withUser("~other:*", "&*", "+@all")},
		{name: "ACL denies subscriptions",
			errors:  []string{"subscribe to the evictions of other replicas: redis: NOPERM this user has no permissions to run the 'subscribe' command"},
			fix:     "Allow `+subscribe` and the channel. If the error is `ERR max number of clients reached`, raise `maxclients`",
			options: asUser, before: withUser("~*", "&*", "+@all", "-subscribe")},
		{name: "ACL denies all commands", options: asUser, before: withUser("~*", "&*", "+hello", "+ping"), errors: []string{"redis: NOPERM"}},
		{name: "ACL denies writes", options: asUser, before: withUser("~*", "&*", "+hello", "+ping", "+@read", "+subscribe"), errors: []string{"redis: NOPERM"}},
		{name: "unknown certificate authority",
			errors: []string{"redis: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
			fix:    "Set `tls_server_certs_path`",
			server: tls(tlsPorts[0]), port: tlsPorts[0], options: "tls_enabled on"},
		{name: "TLS on the server only",
			errors: []string{"redis: read: connection reset by peer"},
			fix:    "Set `tls_enabled on`",
			server: tls(tlsPorts[1]), port: tlsPorts[1]},
		{name: "TLS in the config only",
			errors:  []string{"redis: timed out"},
			fix:     "Use the TLS port, or remove `tls_enabled`",
			options: "tls_enabled on"},
		{name: "read-only",
			errors: []string{"redis: READONLY You can't write against a read only replica."},
			fix:    "`address` is a replica of Redis: set it to the master, or use `master_name`",
			after:  replica},
		{name: "read-only from the start", before: replica, errors: []string{"redis: READONLY"}},
		{name: "out of memory",
			errors: []string{"redis: OOM command not allowed when used memory > 'maxmemory'."},
			fix:    "Raise `maxmemory`, or set `maxmemory-policy`",
			after:  redisCommand("CONFIG", "SET", "maxmemory", "1mb")},
		{name: "out of memory from the start", server: []string{"--maxmemory", "1"}, errors: []string{"redis: OOM"}},
		{name: "cannot save to disk",
			errors: []string{"redis: MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.…"},
			fix:    "Set `save \"\"`, or repair its disk",
			after:  cannotSave},
		{name: "cannot save to disk from the start", before: cannotSave, errors: []string{"redis: MISCONF"}},
		{name: "too few replicas of Redis",
			errors: []string{"redis: NOREPLICAS Not enough good replicas to write."},
			fix:    "Repair them, or lower `min-replicas-to-write`",
			after:  redisCommand("CONFIG", "SET", "min-replicas-to-write", "1")},
		{name: "loading its data",
			errors: []string{"redis: LOADING Redis is loading the dataset in memory", "redis: dial tcp 10.0.0.5:6379: connect: connection refused", "redis: read tcp…"},
			fix:    "Wait. Without persistence, Redis does not load data",
			server: []string{"--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"},
			after: func(_ *testing.T, r *redistest.Server) {
				r.Do("DEBUG", "POPULATE", "20000", "other", "100")
				r.Do("SAVE")
				r.Kill()
				r.Run()
			}},
		{name: "a cluster with missing slots",
			errors:  []string{"redis: CLUSTERDOWN Hash slot not served", "redis: responses take longer than the option timeout"},
			fix:     "Repair the node, or promote its replica",
			options: "cluster on",
			server:  []string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(redistest.FreePort(t))},
			before: func(t *testing.T, r *redistest.Server) {
				r.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
				waitOutput(t, r, "cluster_state:ok", "CLUSTER", "INFO")
			},
			after: redisCommand("CLUSTER", "DELSLOTSRANGE", "0", "16383")},
	}
}

// TestDocs_RedisFailures checks the table in docs/redis.md.
func TestDocs_RedisFailures(t *testing.T) {
	var b strings.Builder
	b.WriteString("| Redis | `error` in the log | what to do |\n|---|---|---|\n")
	for _, f := range redisFailures(t) {
		if f.fix != "" {
			_, _ = fmt.Fprintf(&b, "| %s | `%s` | %s |\n", f.name, strings.Join(f.errors, "`, or `"), f.fix)
		}
	}
	golden.Part(t, redisDocs, "failures", b.String())
}

// TestRedis_Failures checks that known users get tokens, new users are signed up, DELETE
// evicts users, and the reason is logged, for each failure. It is the same for both
// directives.
func TestRedis_Failures(t *testing.T) {
	redistest.Need(t)
	var caddy sync.Mutex
	var all sync.WaitGroup
	for _, f := range redisFailures(t) {
		all.Go(func() { t.Run(f.name, func(t *testing.T) { f.test(t, humaService, &caddy) }) })
	}
	all.Wait()
}

// open starts a site and causes the failure. Several failures are caused concurrently;
// caddy is locked from the start of the site to the end of the test.
func (f redisFailure) open(t *testing.T, p service, caddy *sync.Mutex) (*site, *fakeHuma) {
	t.Helper()
	r := redistest.Start(t, f.server...)
	fake := newHuma(t, sandbox.Config{})
	p.addUsers(fake, "known@x.example")
	if f.before != nil {
		f.before(t, r)
	}
	text := withRedis(r, "1m", f.options+f.timeoutOption())
	if f.port != 0 {
		text = strings.ReplaceAll(text, r.Addr(), "127.0.0.1:"+strconv.Itoa(f.port))
	}
	caddy.Lock()
	t.Cleanup(caddy.Unlock)
	s := serve(t, p.site(fake, text))
	if f.after != nil {
		s.waitShared(1)
		f.after(t, r)
	}
	return s, fake
}

// timeoutOption returns a timeout for a busy machine, unless the failure is a timeout.
func (f redisFailure) timeoutOption() string {
	if f.name == "hangs" || f.name == "TLS in the config only" {
		return "\ntimeout 100ms"
	}
	return "\ntimeout 2s"
}

func (f redisFailure) test(t *testing.T, p service, caddy *sync.Mutex) {
	s, fake := f.open(t, p, caddy)
	token := func(user string) string { return s.request("GET", p.target(), as(user)).token(t, p) }
	token("early@x.example")
	f.wantLogged(t, s)
	known, made := token("known@x.example"), token("new@x.example")
	if token("known@x.example") != known || token("new@x.example") != made {
		t.Error("the token was not cached")
	}
	signUps := 0
	if p.second == sandbox.OpSignUp {
		signUps = 2
	}
	p.wantCalls(t, fake, 3, signUps)
	if a := s.request("DELETE", p.path, as("known@x.example")); a.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", a.StatusCode)
	}
	if token("known@x.example") == known {
		t.Error("the token is still cached")
	}
}

// wantLogged waits until the failure is logged once with its reason, and checks that the
// log has no secrets.
func (f redisFailure) wantLogged(t *testing.T, s *site) {
	t.Helper()
	const message = "shared store unavailable; this replica works alone"
	var entry struct{ Level, Logger, Msg, Error string }
	eventually(t, redisTimeout, "the reason is logged", func() bool {
		lines := s.logLines(message)
		return len(lines) == 1 && json.Unmarshal([]byte(lines[0]), &entry) == nil
	})
	if entry.Level != "warn" || entry.Logger != "huma.redis" || entry.Msg != message || !slices.ContainsFunc(f.errors, hasPrefix(entry.Error)) {
		t.Errorf("the log has %+v, want %q", entry, f.errors)
	}
	s.noSecretsInLog(redisPassword, redisKey, "known@x.example", "new@x.example")
}

var addresses = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)

// hasPrefix reports whether an error begins with a text of redisFailure.errors.
func hasPrefix(err string) func(text string) bool {
	err = addresses.ReplaceAllString(err, "10.0.0.5:6379")
	return func(text string) bool { return strings.HasPrefix(err, strings.TrimSuffix(text, "…")) }
}
