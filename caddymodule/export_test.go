package caddymodule

import "time"

// LookEvery is how often servers look at files with credentials. The tests do
// so more often, of which there are many.
var LookEvery = lookEvery

func init() { lookEvery = 200 * time.Millisecond }

// What the tests from outside run as a command line does.
var (
	TokenCommand    = tokenCommand
	CheckCommand    = checkCommand
	IdentityCommand = identityCommand
)
