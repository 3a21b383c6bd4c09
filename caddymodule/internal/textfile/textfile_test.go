package textfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	const bom = "\xef\xbb\xbf"
	for _, test := range []struct {
		name          string
		in, want, err string
	}{
		{name: "text", in: "sekrit\r\n", want: "sekrit\r\n"},
		{name: "empty"},
		{name: "BOM", in: bom + "sekrit", want: "sekrit"},
		{name: "only a BOM", in: bom},
		{name: "two BOMs", in: bom + bom, want: bom},
		{name: "BOM inside", in: "a" + bom, want: "a" + bom},
		{name: "not UTF-8", in: "\xe9\xff\xfe", want: "\xe9\xff\xfe"},
		{name: "1 MiB", in: strings.Repeat("a", maxSize), want: strings.Repeat("a", maxSize)},
		{name: "larger", in: strings.Repeat("a", maxSize+1), err: "file is larger than 1 MiB"},
		{name: "UTF-16LE", in: "\xff\xfes\x00", err: "file is UTF-16; save it as UTF-8"},
		{name: "UTF-16BE", in: "\xfe\xff\x00s", err: "file is UTF-16; save it as UTF-8"},
		{name: "UTF-16, no BOM", in: "s\x00e\x00", err: "file contains a NUL byte; it must be UTF-8 text"},
		{name: "NUL at its end", in: "sekrit\x00", err: "file contains a NUL byte; it must be UTF-8 text"},
		{name: "NUL after a BOM", in: bom + "\x00", err: "file contains a NUL byte; it must be UTF-8 text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.in)
			got, err := Read(path)
			switch {
			case test.err != "":
				if want := "read " + path + ": " + test.err; err == nil || err.Error() != want || got != nil {
					t.Errorf("%q, %v; want %q", got, err, want)
				}
			case err != nil:
				t.Error(err)
			case got == nil || string(got) != test.want:
				t.Errorf("%q", got)
			}
		})
	}
}

func TestRead_OtherFiles(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	for path, want := range map[string]string{
		dir:                         "read " + dir + ": is a directory",
		link:                        "read " + link + ": is a directory",
		filepath.Join(dir, "none"):  "no such file or directory",
		os.DevNull:                  "not a regular file, but a device",
		filepath.Join(link, "none"): "no such file or directory",
	} {
		var pathError *fs.PathError
		if _, err := Read(path); err == nil || !strings.HasSuffix(err.Error(), want) || !errors.As(err, &pathError) {
			if runtime.GOOS != "windows" {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	target := write(t, "text")
	linked := filepath.Join(dir, "linked")
	if err := os.Symlink(target, linked); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(linked); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Truncate(target, 1<<40); err == nil { // a sparse file
		if _, err := Read(linked); err == nil || !strings.HasSuffix(err.Error(), "file is larger than 1 MiB") {
			t.Error(err)
		}
	}
}

func TestTrimBlanks(t *testing.T) {
	for in, want := range map[string]string{"": "", " \t\r\n\v\f": "", " a b\n": "a b", "\u00a0": "\u00a0"} {
		if got := TrimBlanks(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// slowFile is a file whose reads block until the test sends their result.
type slowFile struct {
	*reader
	reads     atomic.Int32
	responses chan string
}

func newSlowFile() *slowFile {
	s := &slowFile{responses: make(chan string)}
	s.reader = newReader(defaultTimeout, func(access) access {
		return func(string) ([]byte, error) {
			s.reads.Add(1)
			return []byte(<-s.responses), nil
		}
	})
	return s
}

// expect checks the result of one read of path, and how long it takes.
func (s *slowFile) expect(t *testing.T, path string, after time.Duration, want string) {
	t.Helper()
	began := time.Now()
	got, err := s.read(path)
	if took := time.Since(began); took != after {
		t.Errorf("it took %s, want %s", took, after)
	}
	if err != nil {
		got = []byte(err.Error())
	}
	if string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

const timedOut = "read /x: timed out (is the mount hanging?)"

func TestRead_Hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowFile()
		s.expect(t, "/x", 3*time.Second, timedOut)
		// Another path is usually on the same mount.
		for _, path := range []string{"/x", "/y", "/x", "/y"} {
			s.expect(t, path, shortTimeout, "read "+path+": timed out (is the mount hanging?)")
		}
		if n := s.reads.Load(); n != 2 {
			t.Errorf("%d reads", n)
		}
		// Both paths recover. The results of the hanging reads are dropped.
		s.responses <- "old"
		s.responses <- "old"
		synctest.Wait()
		go func() { time.Sleep(time.Second); s.responses <- "new" }()
		s.expect(t, "/x", time.Second, "new") // the timeout is 3 s again
	})
}

// TestRead_NothingOld checks that a call does not use the result of a read that began
// before it, and that waiting calls share the next read.
func TestRead_NothingOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowFile()
		var wg sync.WaitGroup
		wg.Go(func() { s.expect(t, "/x", 2*time.Second, "old") })
		time.Sleep(time.Second)
		for range 10 {
			wg.Go(func() { s.expect(t, "/x", 2*time.Second, "new") })
		}
		time.Sleep(time.Second)
		s.responses <- "old"
		time.Sleep(time.Second)
		s.responses <- "new"
		wg.Wait()
		if n := s.reads.Load(); n != 2 {
			t.Errorf("%d reads", n)
		}
	})
}

// TestRead_AtMostTheTimeout checks the timeout of a call that has waited for another
// read first.
func TestRead_AtMostTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowFile()
		var wg sync.WaitGroup
		wg.Go(func() { s.expect(t, "/x", 2*time.Second, "old") })
		time.Sleep(time.Second)
		wg.Go(func() { s.expect(t, "/x", 3*time.Second, timedOut) })
		time.Sleep(time.Second)
		s.responses <- "old"
		wg.Wait()
		s.responses <- ""
	})
}

// TestRead_OwnCopy checks that callers that share a read may modify their content.
func TestRead_OwnCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowFile()
		go s.read("/x")
		synctest.Wait()
		var contents [2][]byte
		var wg sync.WaitGroup
		for i := range contents {
			wg.Go(func() { contents[i], _ = s.read("/x") })
		}
		synctest.Wait()
		s.responses <- "old"
		synctest.Wait()
		s.responses <- "new"
		wg.Wait()
		contents[0][0] = 'N'
		if !bytes.Equal(contents[1], []byte("new")) {
			t.Errorf("%q", contents)
		}
	})
}

// TestStat checks that the Stamp changes with the content of the file, with the file
// itself, and with the target of a link.
func TestStat(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "a"), filepath.Join(dir, "link")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "one")
	first := Stat(path)
	if !Stat(path).Equal(first) {
		t.Error("it changes by itself")
	}
	old := time.Now().Add(-time.Hour)
	other := filepath.Join(dir, "b")
	write(other, "two") // of the same length
	for _, name := range []string{path, other} {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	before := Stat(link)
	if before.Equal(first) {
		t.Error("another time is the same")
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && Stat(link).Equal(before) {
		t.Error("another file is the same")
	}
	none := Stat(filepath.Join(dir, "none"))
	if none != (Stamp{}) || !none.Equal(Stamp{}) || none.Equal(first) || first.Equal(none) {
		t.Errorf("a file that is not there has the stamp %v", none)
	}
}
