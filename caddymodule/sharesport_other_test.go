//go:build !linux

package caddymodule_test

// sharesPort is implemented on Linux only.
func sharesPort() bool { return false }
