//go:build !race

package caddymodule_test

// raceDetector reports whether the tests run with the race detector, which makes
// everything slower by a factor that differs.
const raceDetector = false
