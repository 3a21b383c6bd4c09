//go:build unix && !solaris

package textfile

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRead_Special checks that a file that is not regular is not opened, and that Read
// does not wait for it.
func TestRead_Special(t *testing.T) {
	dir, err := os.MkdirTemp("", "sock") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{
		fifo:        "not a regular file, but a FIFO",
		socket:      "not a regular file, but a socket",
		"/dev/zero": "not a regular file, but a device",
	} {
		if _, err := Read(path); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
