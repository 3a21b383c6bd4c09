package redistest

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

// module is the prefix of the import paths of this module.
const module = "github.com/caddy-huma/caddy-huma/"

// warnSkipped reports, once per package, that tests are skipped. It writes directly to
// the standard error of go test or to the terminal, since go test does not print the
// output of packages that pass.
var warnSkipped = sync.OnceFunc(func() {
	for _, open := range []func() (*os.File, error){stderrOfParent, terminal} {
		if f, err := open(); err == nil {
			_, _ = io.WriteString(f, skippedMessage()) // there is nowhere to report an error
			_ = f.Close()
			return
		}
	}
})

// skippedMessage returns the message of warnSkipped.
func skippedMessage() string {
	name := "this package"
	if info, ok := debug.ReadBuildInfo(); ok {
		name = strings.TrimSuffix(strings.TrimPrefix(info.Path, module), ".test")
	}
	return fmt.Sprintf("SKIPPED in %s: all tests that require redis-server, which is not installed.\n"+
		"        Install it (%s), then run: go test -count=1 ./...\n", name, redisserver.HowToInstall)
}

// terminal opens the controlling terminal, if there is one.
func terminal() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_WRONLY, 0) }
