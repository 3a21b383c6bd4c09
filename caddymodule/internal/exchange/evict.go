package exchange

// Forget drops all that is cached of a user, refusals too. What runs for them
// is not cached either.
func (e *Engine) Forget(user UserKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.users[user]; u != nil {
		u.evict(true)
	}
	for _, s := range e.caches {
		s.Forget(user)
	}
}

// ForgetTokens drops the cached tokens of a user. Refusals stay: a user cannot
// have the service called again and again by it.
func (e *Engine) ForgetTokens(user UserKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.users[user]; u != nil {
		u.evict(false)
	}
	for _, s := range e.caches {
		s.ForgetTokens(user)
	}
}

// Flush drops all that is cached of all users, and what runs is not cached
// either.
func (e *Engine) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, u := range e.users {
		u.evict(true)
	}
	for _, s := range e.caches {
		s.Flush()
	}
}

// evict marks what runs as from before.
func (u *userExchanges) evict(all bool) {
	for _, f := range u.flights {
		f.evicted, f.evictedAll = true, f.evictedAll || all
	}
}

// Doubt makes doubtful what is kept of everybody: it is looked up in the store
// that replicas share before it is handed out again.
func (e *Engine) Doubt() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.caches {
		s.Doubt()
	}
}
