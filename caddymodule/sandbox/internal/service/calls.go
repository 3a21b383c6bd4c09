package service

import (
	"maps"
	"sync"
	"time"
)

const (
	// maxCalls bounds the log; counters go on counting.
	maxCalls = 10_000
	// maxPeers bounds how many connections are told apart.
	maxPeers = 100_000
)

// Call is one call of an operation, in the order of arrival. Everything that
// reached an operation counts, also what was refused or met a fault.
type Call struct {
	// Seq counts from 1 since the start or the last reset.
	Seq uint64 `json:"seq"`

	// Op is one of signin, signup, consent, refresh, signout, session, id,
	// connect.
	Op string `json:"op"`

	// Email is the address in the body as it was sent (email, or
	// client_user_email); empty if there was none, or one of more than 254
	// bytes.
	Email string `json:"email"`

	// ClientID is the clientId, or client_id, in the body as it was sent.
	ClientID string `json:"clientId"`

	// ClientUserID is the client_user_id in a body for Human API as it was
	// sent; empty if it had more than 1,024 bytes.
	ClientUserID string `json:"clientUserId,omitempty"`

	// ExtraScopes are the extra_scopes in a body for Human API as they were
	// sent; empty if they had more than 1,024 bytes.
	ExtraScopes []string `json:"extraScopes,omitempty"`

	// RequestID is the x-humanapi-request-id of the response.
	RequestID string `json:"requestId,omitempty"`

	// Status is the status that was answered. 0: none yet, or the connection
	// was reset, or the client left first.
	Status int `json:"status"`

	// At is when the call had arrived.
	At time.Time `json:"at"`

	// Error is why the sandbox refused the call, if it did.
	Error string `json:"error,omitempty"`

	// Fault tells that a fault was applied.
	Fault bool `json:"fault,omitempty"`
}

// CallLog is what a Server has seen since its start or the last reset.
type CallLog struct {
	// Calls are the newest 10,000, oldest first.
	Calls []Call `json:"calls"`

	// ByOp counts all calls by operation, also those no longer in Calls.
	ByOp map[string]int `json:"byOp"`

	// ByUser counts Huma's calls by address (ASCII letters lowered) and
	// operation. Calls without an address are not in it.
	ByUser map[string]map[string]int `json:"byUser"`

	// ByClientUser counts Human API's calls by client_id, client_user_id and
	// operation. Calls without one of the ids are not in it.
	ByClientUser map[string]map[string]map[string]int `json:"byClientUser"`

	// InFlight is how many calls are being answered now.
	InFlight int `json:"inFlight"`

	// MaxInFlight is the most there have been at once.
	MaxInFlight int `json:"maxInFlight"`

	// Connections is how many client addresses (host and port) calls came
	// from, up to 100,000.
	Connections int `json:"connections"`
}

// Calls keeps the log and its counters.
type Calls struct {
	mu       sync.Mutex
	seq      uint64
	ring     []*Call // grows to maxCalls, then the oldest is overwritten
	next     int     // where in a full ring the next call goes
	byOp     map[string]int
	byUser   map[userKey]map[string]int
	peers    map[string]struct{}
	inFlight int
	max      int
}

// userKey is whom a call is counted for: at Huma an address, at Human API an id
// of a client's.
type userKey struct {
	humanAPI       bool
	clientID, user string
}

// userKey is false if the call names nobody.
func (c *Call) userKey() (who userKey, found bool) {
	switch c.Op {
	case OpSession, OpID, OpConnect:
		return userKey{humanAPI: true, clientID: c.ClientID, user: c.ClientUserID}, c.ClientID != "" && c.ClientUserID != ""
	default:
		return userKey{user: FoldAddress(c.Email)}, c.Email != ""
	}
}

// NewCalls makes an empty log.
func NewCalls() *Calls {
	l := new(Calls)
	l.Reset()
	return l
}

// Reset forgets all calls. Those still running stay in flight, since they end
// later.
func (l *Calls) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq, l.ring, l.next = 0, nil, 0
	l.byOp = make(map[string]int)
	l.byUser = make(map[userKey]map[string]int)
	l.peers = make(map[string]struct{})
	l.max = l.inFlight
}

// begin notes that a call has arrived.
func (l *Calls) begin(c Call, peer string) *Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	c.Seq = l.seq
	entry := &c
	if len(l.ring) < maxCalls {
		l.ring = append(l.ring, entry)
	} else {
		l.ring[l.next] = entry
		l.next = (l.next + 1) % maxCalls
	}
	l.byOp[c.Op]++
	if who, found := c.userKey(); found {
		if l.byUser[who] == nil {
			l.byUser[who] = make(map[string]int)
		}
		l.byUser[who][c.Op]++
	}
	if len(l.peers) < maxPeers {
		l.peers[peer] = struct{}{}
	}
	l.inFlight++
	l.max = max(l.max, l.inFlight)
	return entry
}

// end notes that a call is over. It comes just before the last byte of the
// response is handed to the connection: a client that calls again the moment it
// has its response must not count as two calls at once.
func (l *Calls) end(entry *Call, status int, problem string, fault bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status, entry.Error, entry.Fault = status, problem, fault
	l.inFlight--
}

// Report copies the log. A limit of 0 means everything; otherwise only that
// many of the newest calls are listed, and ByUser and ByClientUser hold their
// users only.
func (l *Calls) Report(limit int) CallLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.ring)
	from := 0
	if limit > 0 && limit < n {
		from = n - limit
	}
	r := CallLog{
		Calls:        make([]Call, 0, n-from),
		ByOp:         maps.Clone(l.byOp),
		ByUser:       make(map[string]map[string]int),
		ByClientUser: make(map[string]map[string]map[string]int),
		InFlight:     l.inFlight,
		MaxInFlight:  l.max,
		Connections:  len(l.peers),
	}
	for i := from; i < n; i++ {
		// In a full ring next is the oldest; before that it is 0.
		r.Calls = append(r.Calls, *l.ring[(l.next+i)%n])
	}
	if limit == 0 {
		for who, counts := range l.byUser {
			r.countUser(who, counts)
		}
		return r
	}
	for _, c := range r.Calls {
		if who, found := c.userKey(); found {
			r.countUser(who, l.byUser[who])
		}
	}
	return r
}

func (r *CallLog) countUser(who userKey, counts map[string]int) {
	if !who.humanAPI {
		r.ByUser[who.user] = maps.Clone(counts)
		return
	}
	users := r.ByClientUser[who.clientID]
	if users == nil {
		users = make(map[string]map[string]int)
		r.ByClientUser[who.clientID] = users
	}
	users[who.user] = maps.Clone(counts)
}

// Newest is the end of a list, or all of it without a limit.
func Newest[T any](list []T, limit int) []T {
	if limit > 0 && limit < len(list) {
		return list[len(list)-limit:]
	}
	return list
}
