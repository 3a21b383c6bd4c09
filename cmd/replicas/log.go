package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
)

// connectTimeout is how long a replica has to find the store.
const connectTimeout = 15 * time.Second

// replicaLog passes on what the plugin logs, and looks for whether it uses the
// store.
type replicaLog struct {
	forward func(line string)
	once    sync.Once
	state   chan error // the first that is known: nil if it uses the store
}

func newReplicaLog(pass func(line string)) *replicaLog {
	return &replicaLog{forward: pass, state: make(chan error, 1)}
}

// line is given each line of the log.
func (l *replicaLog) line(line []byte) {
	var entry struct{ Level, Logger, Msg, Error string }
	if json.Unmarshal(line, &entry) != nil || !strings.Contains(entry.Logger, "huma") {
		return
	}
	l.forward(string(line))
	if entry.Logger != "huma.redis" {
		return
	}
	l.once.Do(func() {
		var err error
		if entry.Level != "info" {
			err = errors.New(entry.Error)
		}
		l.state <- err
	})
}

// waitConnected waits until the replica uses the store, and says why it does not.
func (l *replicaLog) waitConnected(ctx context.Context) error {
	select {
	case err := <-l.state:
		return err
	case <-time.After(connectTimeout):
		return errors.New("its log does not tell why")
	case <-ctx.Done():
		return ctx.Err()
	}
}
