package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// askAll asks once for every user, and returns how long the answers were together.
func askAll(ctx context.Context, address string, users, connections int) (int64, error) {
	clients, err := dial(ctx, address, connections)
	if err != nil {
		return 0, err
	}
	defer hangUp(clients)
	var (
		next, total atomic.Int64
		wg          sync.WaitGroup
		errs        = make([]error, len(clients))
	)
	for i, c := range clients {
		wg.Go(func() {
			for user := next.Add(1) - 1; user < int64(users) && errs[i] == nil; user = next.Add(1) - 1 {
				var n int64
				n, errs[i] = c.token(address, int(user))
				total.Add(n)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("ask for every user: %w", err)
	}
	return total.Load(), nil
}
