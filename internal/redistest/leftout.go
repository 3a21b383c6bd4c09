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

// module is what the paths of all packages begin with.
const module = "github.com/caddy-huma/caddy-huma/"

// warnSkipped tells, once in a package, that tests of it are left out. It tells
// that past go test, which shows nothing of what a package prints that passes.
var warnSkipped = sync.OnceFunc(func() {
	for _, open := range []func() (*os.File, error){stderrOfParent, terminal} {
		if f, err := open(); err == nil {
			_, _ = io.WriteString(f, skippedMessage()) // nobody can be told that nobody can be told
			_ = f.Close()
			return
		}
	}
})

// skippedMessage is the message.
func skippedMessage() string {
	name := "this package"
	if info, ok := debug.ReadBuildInfo(); ok {
		name = strings.TrimSuffix(strings.TrimPrefix(info.Path, module), ".test")
	}
	return fmt.Sprintf("LEFT OUT in %s: every test that needs redis-server, which is not installed.\n"+
		"         Install it (%s), then: go test -count=1 ./...\n", name, redisserver.HowToInstall)
}

// terminal is the one where go test was typed, if there is one.
func terminal() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_WRONLY, 0) }
