package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
)

// lemonldapBinary serves the portal of LemonLDAP::NG, where users sign in, and its
// handler, which forward_auth calls.
const lemonldapBinary = "/usr/sbin/llng-fastcgi-server"

// domain is the domain of the single sign-on; the portal is auth.sso.example.
const domain = "sso.example"

// virtualHost is the config of a site in LemonLDAP::NG.
type virtualHost struct {
	rule    string            // the access rule
	headers map[string]string // the headers about the user, as Perl expressions
}

// lemonldap is LemonLDAP::NG in its own directory. It has the users of its demonstration
// mode, whose passwords are equal to their names: dwho, rtyler and msmith.
type lemonldap struct {
	*process
	dir     string
	address string // the address of its FastCGI server
	config  map[string]any
	version int // the version of the configuration
}

// startLemonldap runs LemonLDAP::NG for the sites of domain and for a portal on the given
// port.
func startLemonldap(t *testing.T, port string, hosts map[string]virtualHost) *lemonldap {
	t.Helper()
	exported, rules := map[string]any{}, map[string]any{"auth." + domain: map[string]string{"default": "accept"}}
	for host, h := range hosts {
		rules[host+"."+domain] = map[string]string{"default": h.rule}
		exported[host+"."+domain] = h.headers
	}
	return newLemonldap(t, "http://auth."+domain+":"+port+"/", map[string]any{
		"domain": domain, "exportedHeaders": exported, "locationRules": rules,
		"macros": map[string]string{"_whatToTrace": "lc($_user)"},
	})
}

// newLemonldap runs LemonLDAP::NG with a portal at the given URL and further
// configuration.
func newLemonldap(t *testing.T, portal string, more map[string]any) *lemonldap {
	t.Helper()
	if _, err := os.Stat(lemonldapBinary); err != nil {
		t.Fatal("LemonLDAP::NG is not installed: run .ci/e2e, which installs it on Debian and lists the packages")
	}
	// LemonLDAP::NG does not run as root, and its user cannot read t.TempDir.
	dir, err := os.MkdirTemp("", "lemonldap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"conf", "cache", "sessions", "sessions/lock", "psessions", "psessions/lock"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sessions := func(sub string) map[string]string {
		return map[string]string{
			"Directory": filepath.Join(dir, sub), "LockDirectory": filepath.Join(dir, sub, "lock"),
			"generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256",
		}
	}
	l := &lemonldap{dir: dir, address: "127.0.0.1:" + freePort(t)}
	l.config = map[string]any{
		"cfgAuthor": "test", "cfgDate": "1700000000", "cfgVersion": "2.0.0",
		"portal": portal, "cookieName": "lemonldap",
		"key": "an-invented-key", "securedCookie": 0, "authentication": "Demo", "userDB": "Same", "passwordDB": "Demo", "registerDB": "Null",
		"demoExportedVars": map[string]string{"cn": "cn", "mail": "mail", "uid": "uid"},
		"whatToTrace":      "_whatToTrace",
		"globalStorage":    "Apache::Session::File", "globalStorageOptions": sessions("sessions"),
		"persistentStorage": "Apache::Session::File", "persistentStorageOptions": sessions("psessions"),
		"localSessionStorage":        "Cache::FileCache",
		"localSessionStorageOptions": map[string]any{"namespace": "s", "default_expires_in": 600, "cache_root": filepath.Join(dir, "cache"), "cache_depth": 3},
		"handlerInternalCache":       0, // sign-out takes effect immediately
		"requireToken":               0, // sign-in takes one request
	}
	maps.Copy(l.config, more)
	l.serve(t)
	return l
}

// serve starts or restarts LemonLDAP::NG with its current configuration.
func (l *lemonldap) serve(t *testing.T) {
	t.Helper()
	l.version++
	l.config["cfgNum"] = l.version
	config, err := json.Marshal(l.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.dir, "conf", fmt.Sprintf("lmConf-%d.json", l.version)), string(config))
	// Without this, it starts with the cached configuration.
	cache := filepath.Join(l.dir, "cache")
	if err := errors.Join(os.RemoveAll(cache), os.Mkdir(cache, 0o755)); err != nil {
		t.Fatal(err)
	}
	ini := filepath.Join(l.dir, "lemonldap-ng.ini")
	write(t, ini, `[all]
logLevel = warn
logger = Lemonldap::NG::Common::Logger::Std
[configuration]
type = File
dirName = `+l.dir+`/conf
localStorage = Cache::FileCache
localStorageOptions = { 'namespace' => 'c', 'default_expires_in' => 600, 'cache_root' => '`+cache+`', 'cache_depth' => 3 }
[portal]
templateDir = /usr/share/lemonldap-ng/portal/templates
[handler]
status = 0
`)
	args := []string{"--foreground", "--proc", "2", "--pid", filepath.Join(l.dir, "pid"), "--socket", "", "--listen", l.address}
	if os.Getuid() == 0 {
		args = append(args, "--user", chownUnprivileged(t, l.dir), "--group", "www-data")
	}
	l.process = start(t, l.dir, l.address, []string{"LLNG_DEFAULTCONFFILE=" + ini, "LLNG_DEFAULTLOGGER=Lemonldap::NG::Common::Logger::Std"}, lemonldapBinary, args...)
}

// chownUnprivileged changes the owner of a directory to a user without privileges, and
// returns the directory.
func chownUnprivileged(t *testing.T, dir string) string {
	t.Helper()
	u, err := user.Lookup("www-data")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	})
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// portalSignIn signs a user in at the portal and returns the headers with the session.
func portalSignIn(t *testing.T, s *site, name string) http.Header {
	t.Helper()
	a := do(t, http.MethodPost, s.at("auth."+domain).url, http.Header{"Accept": {"application/json"}}, url.Values{"user": {name}, "password": {name}})
	id, _ := a.json["id"].(string)
	if a.status != http.StatusOK || id == "" {
		t.Fatalf("sign in: %d %s", a.status, a.body)
	}
	return http.Header{"Cookie": {"lemonldap=" + id}}
}
