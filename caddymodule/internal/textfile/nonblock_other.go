//go:build !unix

package textfile

// nonblock is 0: files are opened as usual where FIFOs are not in the file system.
const nonblock = 0
