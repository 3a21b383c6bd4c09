package redistest

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNeed_ReportsSkippedTests checks that without redis-server, go test prints one
// message per package with skipped tests, although the package passes, and no other
// output is lost.
func TestNeed_ReportsSkippedTests(t *testing.T) {
	t.Run("into a pipe", func(t *testing.T) {
		var out bytes.Buffer
		testWithoutRedis(t, &out, &out)
		wantSkipped(t, out.String())
	})
	t.Run("into two files", func(t *testing.T) {
		out, messages := create(t), create(t)
		testWithoutRedis(t, out, messages)
		wantSkipped(t, content(t, out)+content(t, messages))
	})
	f, err := copyOfStderr(os.Getppid())
	if err != nil {
		t.Logf("skip the test with one file: cannot copy the descriptor: %v", err)
		return
	}
	_ = f.Close()
	t.Run("into one file", func(t *testing.T) {
		out := create(t)
		testWithoutRedis(t, out, out)
		wantSkipped(t, content(t, out))
	})
}

// testWithoutRedis runs go test without redis-server, for a package that requires it and
// for one that does not.
func testWithoutRedis(t *testing.T, out, messages io.Writer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "TestReplies|TestStartErrors|TestReload", "../redisserver", "../process")
	cmd.Env = append(os.Environ(), "PATH="+t.TempDir(), required+"=", "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = out, messages
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}

// create creates a temporary file.
func create(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// content returns the content of a file.
func content(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantSkipped fails the test unless each expected text is in the output exactly once.
func wantSkipped(t *testing.T, out string) {
	t.Helper()
	for _, text := range []string{
		"SKIPPED in internal/redisserver: ", "apt-get install redis-server",
		"ok  \t" + module + "internal/redisserver\t", "ok  \t" + module + "internal/process\t",
	} {
		if strings.Count(out, text) != 1 {
			t.Errorf("not exactly once %q in:\n%s", text, out)
		}
	}
}
