package service

import (
	"maps"
	"sync"
	"time"
)

const (
	// maxCalls is the maximum number of calls in the log. The counters have no limit.
	maxCalls = 10_000
	// maxPeers is the maximum of CallLog.Connections.
	maxPeers = 100_000
)

// Call is the log entry of one call. Rejected calls and calls with an injected fault are
// logged, too.
type Call struct {
	// Seq is the number of the call since the start or the last reset, from 1.
	Seq uint64 `json:"seq"`

	// Op is the operation: signin, signup, consent, refresh, signout, session, id or
	// connect.
	Op string `json:"op"`

	// Email is the member email, or client_user_email, of the body. Empty if it is
	// missing or longer than 254 bytes.
	Email string `json:"email"`

	// ClientID is the member clientId, or client_id, of the body.
	ClientID string `json:"clientId"`

	// ClientUserID is the member client_user_id of a body for Human API. Empty if it is
	// longer than 1,024 bytes.
	ClientUserID string `json:"clientUserId,omitempty"`

	// ExtraScopes is the member extra_scopes of a body for Human API. Empty if it is
	// longer than 1,024 bytes.
	ExtraScopes []string `json:"extraScopes,omitempty"`

	// RequestID is the header x-humanapi-request-id of the response.
	RequestID string `json:"requestId,omitempty"`

	// Status is the status of the response. 0: the call is in progress, the connection
	// was reset, or the client disconnected first.
	Status int `json:"status"`

	// At is the time at which the call was received.
	At time.Time `json:"at"`

	// Error is the reason why the sandbox rejected the call. Empty: it did not.
	Error string `json:"error,omitempty"`

	// Fault is true if a fault was injected.
	Fault bool `json:"fault,omitempty"`
}

// CallLog is the log of the calls since the start or the last reset, with counters.
type CallLog struct {
	// Calls are the newest 10,000 calls, oldest first.
	Calls []Call `json:"calls"`

	// ByOp is the number of all calls by operation, including those no longer in Calls.
	ByOp map[string]int `json:"byOp"`

	// ByUser is the number of Huma's calls by email address (with ASCII letters in lower
	// case) and operation. It does not include calls without an address.
	ByUser map[string]map[string]int `json:"byUser"`

	// ByClientUser is the number of Human API's calls by client_id, client_user_id and
	// operation. It does not include calls without one of the ids.
	ByClientUser map[string]map[string]map[string]int `json:"byClientUser"`

	// InFlight is the number of calls in progress.
	InFlight int `json:"inFlight"`

	// MaxInFlight is the maximum of InFlight.
	MaxInFlight int `json:"maxInFlight"`

	// Connections is the number of different client addresses (host:port), at most
	// 100,000.
	Connections int `json:"connections"`
}

// Calls holds the log and its counters. Create it with NewCalls. It is safe for
// concurrent use.
type Calls struct {
	mu       sync.Mutex
	seq      uint64
	ring     []*Call // up to maxCalls entries; then the oldest one is overwritten
	next     int     // index of the oldest entry of a full ring; 0 before
	byOp     map[string]int
	byUser   map[userKey]map[string]int
	peers    map[string]struct{}
	inFlight int
	max      int
}

// userKey identifies the user of a call in the counters: by email address at Huma, by
// client id and client user id at Human API.
type userKey struct {
	humanAPI       bool
	clientID, user string
}

// userKey returns the key of the call's user, or false if the call does not identify one.
func (c *Call) userKey() (key userKey, found bool) {
	switch c.Op {
	case OpSession, OpID, OpConnect:
		return userKey{humanAPI: true, clientID: c.ClientID, user: c.ClientUserID}, c.ClientID != "" && c.ClientUserID != ""
	default:
		return userKey{user: FoldAddress(c.Email)}, c.Email != ""
	}
}

// NewCalls returns an empty log.
func NewCalls() *Calls {
	l := new(Calls)
	l.Reset()
	return l
}

// Reset deletes all calls and counters. Calls in progress still count as in flight.
func (l *Calls) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq, l.ring, l.next = 0, nil, 0
	l.byOp = make(map[string]int)
	l.byUser = make(map[userKey]map[string]int)
	l.peers = make(map[string]struct{})
	l.max = l.inFlight
}

// begin logs a call that was received from a peer, and returns its entry.
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
	if key, found := c.userKey(); found {
		if l.byUser[key] == nil {
			l.byUser[key] = make(map[string]int)
		}
		l.byUser[key][c.Op]++
	}
	if len(l.peers) < maxPeers {
		l.peers[peer] = struct{}{}
	}
	l.inFlight++
	l.max = max(l.max, l.inFlight)
	return entry
}

// end records the result of a call. Call it before the last byte of the response is
// written: a client that sends its next call as soon as it has the response must not
// count as two calls in flight.
func (l *Calls) end(entry *Call, status int, problem string, fault bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status, entry.Error, entry.Fault = status, problem, fault
	l.inFlight--
}

// Report returns a copy of the log. With a limit above 0, Calls has at most that many of
// the newest calls, and ByUser and ByClientUser have only the users of these calls.
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
		r.Calls = append(r.Calls, *l.ring[(l.next+i)%n])
	}
	if limit == 0 {
		for key, counts := range l.byUser {
			r.countUser(key, counts)
		}
		return r
	}
	for _, c := range r.Calls {
		if key, found := c.userKey(); found {
			r.countUser(key, l.byUser[key])
		}
	}
	return r
}

// countUser sets the counts of a user.
func (r *CallLog) countUser(key userKey, counts map[string]int) {
	if !key.humanAPI {
		r.ByUser[key.user] = maps.Clone(counts)
		return
	}
	users := r.ByClientUser[key.clientID]
	if users == nil {
		users = make(map[string]map[string]int)
		r.ByClientUser[key.clientID] = users
	}
	users[key.user] = maps.Clone(counts)
}

// Newest returns the last limit elements of list, or all if limit is 0.
func Newest[T any](list []T, limit int) []T {
	if limit > 0 && limit < len(list) {
		return list[len(list)-limit:]
	}
	return list
}
