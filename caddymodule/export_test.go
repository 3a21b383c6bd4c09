package caddymodule

// What the tests from outside run as a command line does.
var (
	TokenCommand    = tokenCommand
	CheckCommand    = checkCommand
	IdentityCommand = identityCommand
)
