package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// GrowReport is what the comparison of many users with few tells.
type GrowReport struct {
	Machine string   `json:"machine"`
	Fill    Fill     `json:"fill"`
	Hits    Table    `json:"hits"` // of few users and of many
	Memory  Memory   `json:"memoryPerUser"`
	New     NewUsers `json:"newUsers"`
}

// Fill is how long it took to ask for many users for the first time.
type Fill struct {
	Users     int     `json:"users"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
}

// Memory is what a user takes of the process that keeps many, in bytes. -1 is
// unknown.
type Memory struct {
	// Heap is what is left of Go's heap after a collection, less what was there
	// before the first user.
	Heap float64 `json:"liveHeap"`

	// Answer is how long an answer is, on average, and Beyond is Heap less that:
	// what is kept is about the answer's text.
	Answer float64 `json:"answer"`
	Beyond float64 `json:"beyondAnswer"`

	// RSS is by how much the resident set has grown until all were there: with
	// what exchanges left behind, and the room that Go's collector leaves itself.
	RSS float64 `json:"rss"`
}

// NewUsers is what came of users whom the service did not know.
type NewUsers struct {
	Table

	// Users is how many there were, all of them served.
	Users int64 `json:"users"`

	// Calls is how many calls the service had for each of them, by operation.
	Calls map[string]float64 `json:"callsPerUser"`

	// Added is by how much the median latency is above that of the same calls
	// without Caddy, in milliseconds: the median of all rounds.
	Added float64 `json:"addedMs"`
}

// conclude makes of what was counted what is said of a user.
func (n *NewUsers) conclude(users int64, calls map[string]int) {
	n.Users, n.Calls = users, make(map[string]float64)
	for operation, count := range calls {
		n.Calls[operation] = float64(count) / float64(users)
	}
	n.Added = n.Kinds[1].addedTo(&n.Kinds[0])
}

// print implements report.
func (r *GrowReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\nanswers from the cache, of few users and of many:\n", r.Machine)
	if err := r.Hits.print(out); err != nil {
		return err
	}
	m := r.Memory
	fmt.Fprintf(out, "\n%d users came in %.1f s, %.0f a second\n", r.Fill.Users, r.Fill.Seconds, r.Fill.PerSecond)
	fmt.Fprintf(out, "a user takes %s bytes of the live heap, %s beyond the answer's %.0f; the resident set grew by %s\n", number(m.Heap, ""), number(m.Beyond, ""), m.Answer, number(m.RSS, ""))
	fmt.Fprint(out, "\nusers whom the service does not know, and the calls for such users without Caddy:\n")
	if err := r.New.Table.print(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d new users, all served; calls at the service per user:", r.New.Users)
	for _, operation := range slices.Sorted(maps.Keys(r.New.Calls)) {
		fmt.Fprintf(out, " %s %.3f", operation, r.New.Calls[operation])
	}
	last := r.New.Kinds[len(r.New.Kinds)-1].Mean
	_, err := fmt.Fprintf(out, "\n%.2f new connections at the service per 1,000 users; %.3f ms added to the median latency of both calls\n", last.Connections, r.New.Added)
	return err
}
