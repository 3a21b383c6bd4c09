package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

var (
	bom       = []byte("\xef\xbb\xbf")
	bomUTF16  = []byte("\xff\xfe")
	bomUTF16B = []byte("\xfe\xff")
)

var errSize = errors.New("file is larger than 1 MiB")

// readFile reads a file and checks that it is text. It blocks if the file system hangs.
func readFile(path string) ([]byte, error) {
	// Opening a device can change its state, and opening a FIFO blocks, or unblocks its
	// writer, so check the type first. If Stat fails, so does Open, with a better error.
	if info, err := os.Stat(path); err == nil {
		if err := check(info); err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The path may lead to another file by now.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := check(info); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxSize { // the file grew, or its size is unknown, as in /proc
		return nil, &fs.PathError{Op: "read", Path: path, Err: errSize}
	}
	return text(path, content)
}

// check returns an error if the file is too large or not a regular file. It says which
// type of file it is.
func check(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		if info.Size() > maxSize {
			return errSize
		}
		return nil
	case mode.IsDir():
		return errors.New("is a directory")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("not a regular file, but a FIFO")
	case mode&fs.ModeSocket != 0:
		return errors.New("not a regular file, but a socket")
	case mode&fs.ModeDevice != 0:
		return errors.New("not a regular file, but a device")
	}
	return errors.New("not a regular file")
}

// TrimBlanks returns value without ASCII white space at both ends.
func TrimBlanks(value string) string { return strings.Trim(value, " \t\r\n\v\f") }

// text returns content without its UTF-8 byte order mark, or an error if it is not
// text. The error does not contain the content.
func text(path string, content []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(content, bomUTF16), bytes.HasPrefix(content, bomUTF16B):
		return nil, fmt.Errorf("read %s: file is UTF-16; save it as UTF-8", path)
	case bytes.IndexByte(content, 0) >= 0:
		return nil, fmt.Errorf("read %s: file contains a NUL byte; it must be UTF-8 text", path)
	}
	return bytes.TrimPrefix(content, bom), nil
}
