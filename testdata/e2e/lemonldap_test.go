package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
)

// lemonldapBinary serves the portal of LemonLDAP::NG, where people sign in,
// and its handler, which says who they are when forward_auth asks.
const lemonldapBinary = "/usr/sbin/llng-fastcgi-server"

// domain of the single sign-on; its portal is auth, below it.
const domain = "sso.example"

// virtualHost is what LemonLDAP::NG is told about a site.
type virtualHost struct {
	rule    string            // who may come in
	headers map[string]string // what it says of them, as Perl expressions
}

// startLemonldap runs LemonLDAP::NG for a portal on that port, and returns the
// address of its FastCGI server. Its people are those of its demonstration
// mode, whose passwords are their names: dwho, rtyler and msmith.
func startLemonldap(t *testing.T, port string, hosts map[string]virtualHost) (*process, string) {
	t.Helper()
	if _, err := os.Stat(lemonldapBinary); err != nil {
		t.Fatal("LemonLDAP::NG is not installed: run .ci/e2e, which does that on Debian, or look there which packages it takes")
	}
	// It does not run as root, so its files are somebody else's: not in
	// t.TempDir, which nobody else can look into.
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
	exported, rules := map[string]any{}, map[string]any{"auth." + domain: map[string]string{"default": "accept"}}
	for host, h := range hosts {
		rules[host+"."+domain] = map[string]string{"default": h.rule}
		exported[host+"."+domain] = h.headers
	}
	sessions := func(sub string) map[string]string {
		return map[string]string{
			"Directory": filepath.Join(dir, sub), "LockDirectory": filepath.Join(dir, sub, "lock"),
			"generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256",
		}
	}
	config, err := json.Marshal(map[string]any{
		"cfgNum": 1, "cfgAuthor": "test", "cfgDate": "1700000000", "cfgVersion": "2.0.0",
		"domain": domain, "portal": "http://auth." + domain + ":" + port + "/", "cookieName": "lemonldap",
		"authentication": "Demo", "userDB": "Same", "passwordDB": "Demo", "registerDB": "Null",
		"demoExportedVars": map[string]string{"cn": "cn", "mail": "mail", "uid": "uid"},
		"macros":           map[string]string{"_whatToTrace": "lc($_user)"}, "whatToTrace": "_whatToTrace",
		"globalStorage": "Apache::Session::File", "globalStorageOptions": sessions("sessions"),
		"persistentStorage": "Apache::Session::File", "persistentStorageOptions": sessions("psessions"),
		"localSessionStorage":        "Cache::FileCache",
		"localSessionStorageOptions": map[string]any{"namespace": "s", "default_expires_in": 600, "cache_root": filepath.Join(dir, "cache"), "cache_depth": 3},
		"handlerInternalCache":       0, // who signs out is out at once
		"requireToken":               0, // signing in takes one request
		"exportedHeaders":            exported, "locationRules": rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "conf", "lmConf-1.json"), string(config))
	ini := filepath.Join(dir, "lemonldap-ng.ini")
	write(t, ini, `[all]
logLevel = warn
logger = Lemonldap::NG::Common::Logger::Std
[configuration]
type = File
dirName = `+dir+`/conf
localStorage = Cache::FileCache
localStorageOptions = { 'namespace' => 'c', 'default_expires_in' => 600, 'cache_root' => '`+dir+`/cache', 'cache_depth' => 3 }
[portal]
templateDir = /usr/share/lemonldap-ng/portal/templates
[handler]
status = 0
`)
	address := "127.0.0.1:" + freePort(t)
	args := []string{"--foreground", "--proc", "2", "--pid", filepath.Join(dir, "pid"), "--socket", "", "--listen", address}
	if os.Getuid() == 0 {
		args = append(args, "--user", giveAway(t, dir), "--group", "www-data")
	}
	return start(t, dir, address, []string{"LLNG_DEFAULTCONFFILE=" + ini, "LLNG_DEFAULTLOGGER=Lemonldap::NG::Common::Logger::Std"}, lemonldapBinary, args...), address
}

// giveAway makes a directory that of a user without rights.
func giveAway(t *testing.T, dir string) string {
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

// portalSignIn returns the headers of somebody who signed in at the portal.
func portalSignIn(t *testing.T, s *site, name string) http.Header {
	t.Helper()
	a := do(t, http.MethodPost, s.at("auth."+domain).url, http.Header{"Accept": {"application/json"}}, url.Values{"user": {name}, "password": {name}})
	id, _ := a.json["id"].(string)
	if a.status != http.StatusOK || id == "" {
		t.Fatalf("sign in: %d %s", a.status, a.body)
	}
	return http.Header{"Cookie": {"lemonldap=" + id}}
}
