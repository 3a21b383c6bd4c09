//go:build unix

package routecheck_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFiles checks that a config that names files is checked without reading them.
func TestFiles(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil { // reading it would wait forever
		t.Fatal(err)
	}
	app := adapt(t, strings.ReplaceAll(`a.example {
	log {
		output file FILE
	}
	tls FILE FILE
	header X {file.FILE}
	@maintenance file FILE
	respond @maintenance {file.FILE}
	@expression expression file({'try_files': ['{path}', 'FILE']})
	respond @expression {file.FILE}
	reverse_proxy /api/* https://app:3000 {
		transport http {
			tls_trust_pool file FILE
		}
	}
	route {
		request_body /private/token {
			max_size 1
		}
	}
	templates
	file_server browse
}`, "FILE", fifo))
	done := make(chan error, 1)
	go func() {
		all, err := checkAll(app)
		if err == nil && (len(all) != 1 || !all[0].Reached) {
			err = fmt.Errorf("results: %+v", all)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a file is read")
	}
}
