//go:build !linux

package caddymodule_test

// sharesPort reports nothing on systems without /proc.
func sharesPort() bool { return false }
