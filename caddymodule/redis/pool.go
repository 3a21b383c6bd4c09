package redis

import (
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/rediscache"
)

// connections are kept over reloads.
var connections = caddy.NewUsagePool() // Redis.key → *connection

// connection is one Redis and those in this process who have something of it in
// their memory.
type connection struct {
	*rediscache.Store
	mu      sync.Mutex
	members map[string]map[exchange.Forgetter]int // by account, with how often they joined
}

// Join makes memory, that of an account, hear what other replicas do, and others
// of this process who have joined the same account. What it does itself by way of
// the Member it does not hear: it has to forget by itself. account
// and service name those whose tokens and sign-ups are shared: they have to be
// the same in all replicas, as do the keys of users. unreadable is told of each
// value that cannot be opened; it has to be the same for all who join. leave has
// to be called when nobody uses the Member any more: the last one who leaves ends
// what is under way.
func (r *Redis) Join(account, service string, memory exchange.Forgetter, unreadable func()) (m exchange.Member, leave func(), err error) {
	v, _, err := connections.LoadOrNew(r.key, func() (caddy.Destructor, error) { return newConnection(r.config, unreadable) })
	if err != nil {
		return m, nil, err
	}
	c := v.(*connection)
	c.add(account, memory, 1)
	shared := joined{Shared: c.Account(account), connection: c, account: account, memory: memory}
	m = exchange.Member{Shared: shared, SignUps: c.SignUps(service), Start: c.Connect, Up: c.Up}
	return m, func() {
		c.add(account, memory, -1)
		_, _ = connections.Delete(r.key)
	}, nil
}

func newConnection(config rediscache.Config, unreadable func()) (*connection, error) {
	c := &connection{members: make(map[string]map[exchange.Forgetter]int)}
	config.OnForget = c.forget
	config.OnNews = c.forget
	config.OnFlush = func(account string) { c.each(account, exchange.Forgetter.Flush) }
	config.OnReconnect = func(account string) { c.each(account, exchange.Forgetter.Doubt) }
	config.OnState = logState
	config.OnUnreadable = func() { logUnreadable(); unreadable() }
	var err error
	c.Store, err = rediscache.New(config)
	return c, err
}

// Destruct implements caddy.Destructor. A reload must not wait for what is
// under way.
func (c *connection) Destruct() error {
	go c.Close()
	return nil
}

func (c *connection) add(account string, memory exchange.Forgetter, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	members := c.members[account]
	if members == nil {
		members = make(map[exchange.Forgetter]int)
		c.members[account] = members
	}
	if members[memory] += n; members[memory] == 0 {
		delete(members, memory)
	}
	if len(members) == 0 {
		delete(c.members, account)
	}
}

// each calls f with those who have something of an account.
func (c *connection) each(account string, f func(exchange.Forgetter)) {
	c.mu.Lock()
	var members []exchange.Forgetter
	for m := range c.members[account] {
		members = append(members, m)
	}
	c.mu.Unlock()
	for _, m := range members {
		f(m)
	}
}

func (c *connection) forget(account string, user exchange.UserKey) {
	c.each(account, func(m exchange.Forgetter) { m.ForgetTokens(user) })
}

// logState logs with the logger of the moment: the one of the config that made
// the connection may be gone.
func logState(up bool, err error) {
	log := caddy.Log().Named("huma.redis")
	if up {
		log.Info("the shared store is there: replicas share tokens")
		return
	}
	log.Warn("the shared store cannot be used: this replica works for itself", zap.Error(err))
}

func logUnreadable() {
	caddy.Log().Named("huma.redis").Debug("a value in the shared store cannot be opened: it is taken for a miss")
}
