package main

import (
	"fmt"
	"strings"
)

// instructions is what is printed once everything runs. The commands in it are to be
// typed as they are: the test does that.
func (s *demo) instructions() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	const token = "curl -u alice:wonderland http://localhost:%d/private/huma-token"

	line("\n%d replicas of one site share their users' tokens in Redis, on this machine:\n", len(s.replicas))
	for _, p := range s.processes {
		line("  %-22s %s (process %d)", p.name, p.address, p.pid)
	}
	if s.redis == nil {
		line("  %-22s %s", "Redis", s.options.redis)
	}

	line("\nThe same token from each of them, and one sign-up at Huma:\n")
	for _, port := range s.replicas {
		line("  "+token, port)
	}
	line("  curl http://localhost:%d/_sandbox/calls", s.sandbox)

	line("\nForgotten at one, forgotten at all. The balancer asks them in turn, and X-Replica\ntells which it was:\n")
	line("  curl -u alice:wonderland -X DELETE http://localhost:%d/private/huma-token", s.replicas[0])
	line("  "+strings.Replace(token, "curl", "curl -i", 1), s.balancer)
	if s.redis != nil {
		line("\nWithout Redis tokens still come, and each replica works for itself; with it they\nshare again:\n")
		line("  kill %d", s.redis.PID())
		line("  curl -u bob:builder http://localhost:%d/private/huma-token", s.balancer)
		line("  redis-server --port %d --bind 127.0.0.1 --save ''", s.redis.Port)
	}
	line("\nWhat the replicas log about it follows. Ctrl-C ends everything.")
	return b.String()
}
