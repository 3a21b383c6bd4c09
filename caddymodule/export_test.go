package caddymodule

import "time"

// LookEvery and MaxRound are those of a server. The tests, of which there are
// many, use shorter ones.
var (
	LookEvery = lookEvery
	MaxRound  = maxRound
)

func init() { lookEvery, maxRound = 200*time.Millisecond, 500*time.Millisecond }

// What the tests from outside run as a command line does.
var (
	TokenCommand    = tokenCommand
	CheckCommand    = checkCommand
	IdentityCommand = identityCommand
)
