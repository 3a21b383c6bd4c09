//go:build race

package testutil

// Race reports whether the race detector is on. Then, tests that send many similar requests
// one after another send only some of them: `go test ./...` sends all.
const Race = true
