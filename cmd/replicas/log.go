package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// connectTimeout is how long a replica may take to connect to the store.
const connectTimeout = 15 * time.Second

// replicaLog forwards the plugin's log messages of one replica, and detects whether the
// replica is connected to the store.
type replicaLog struct {
	forward func(line string)
	once    sync.Once
	state   chan error // the first state: nil if the replica is connected to the store
}

// newReplicaLog returns a replicaLog that calls forward with each line.
func newReplicaLog(forward func(line string)) *replicaLog {
	return &replicaLog{forward: forward, state: make(chan error, 1)}
}

// line handles a line of the log. Lines of other loggers are ignored.
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

// waitConnected waits until the replica is connected to the store. It returns the
// reason if it is not.
func (l *replicaLog) waitConnected(ctx context.Context) error {
	select {
	case err := <-l.state:
		return err
	case <-time.After(connectTimeout):
		return fmt.Errorf("no log message about it within %s", connectTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}
