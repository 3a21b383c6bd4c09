package main

import (
	"fmt"
	"strings"
)

// instructions returns the text that is printed when all processes run. It has commands
// to copy, which the test executes.
func (d *demo) instructions() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	const token = "curl -u alice:wonderland http://localhost:%d/private/huma-token"

	line("\n%d replicas of a site, which share tokens in Redis, are running on this machine:\n", len(d.replicas))
	for _, p := range d.processes {
		line("  %-22s %s (process %d)", p.name, p.address, p.pid)
	}
	if d.redis == nil {
		line("  %-22s %s", "Redis", d.options.redis)
	}

	line("\nAll replicas return the same token, after one sign-up at Huma:\n")
	for _, port := range d.replicas {
		line("  "+token, port)
	}
	line("  curl http://localhost:%d/_sandbox/calls", d.sandbox)

	line("\nEvicting the token at one replica evicts it at all of them. The load balancer sends\nrequests to the replicas in turn; the header X-Replica has the address of the replica:\n")
	line("  curl -u alice:wonderland -X DELETE http://localhost:%d/private/huma-token", d.replicas[0])
	line("  "+strings.Replace(token, "curl", "curl -i", 1), d.balancer)
	if d.redis != nil {
		line("\nWithout Redis, each replica works alone and still returns tokens. After a restart of\nRedis, they share tokens again:\n")
		line("  kill %d", d.redis.PID())
		line("  curl -u bob:builder http://localhost:%d/private/huma-token", d.balancer)
		line("  redis-server --port %d --bind 127.0.0.1 --save ''", d.redis.Port)
	}
	line("\nThe log messages of the replicas follow. Press Ctrl-C to stop all processes.")
	return b.String()
}
