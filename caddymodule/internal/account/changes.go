package account

import "sync"

// Changes decides which handler of an account logs a change that all its handlers notice,
// such as a secret file with new content. Each handler counts the changes that it
// notices, and the first one with a new number logs it. The zero value is ready for use.
// It is safe for concurrent use.
type Changes struct {
	mu      sync.Mutex
	highest map[string]uint64 // by kind of change
}

// Count returns the highest number of a kind of change so far. A new handler starts to
// count there.
func (c *Changes) Count(kind string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.highest[kind]
}

// IsNew reports whether n is higher than each number of this kind before.
func (c *Changes) IsNew(kind string, n uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n <= c.highest[kind] {
		return false
	}
	if c.highest == nil {
		c.highest = make(map[string]uint64)
	}
	c.highest[kind] = n
	return true
}
