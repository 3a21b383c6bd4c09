package sandbox

import (
	"sync"
	"time"
)

// Names of operations, as calls are counted and faults are aimed.
const (
	OpSignIn  = "signin"
	OpSignUp  = "signup"
	OpConsent = "consent"
	OpRefresh = "refresh"
	OpSignOut = "signout"
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

	// Op is one of signin, signup, consent, refresh, signout.
	Op string `json:"op"`

	// Email is the address in the body as it was sent; empty if there was
	// none, or one of more than 254 bytes.
	Email string `json:"email"`

	// ClientID is the clientId in the body as it was sent.
	ClientID string `json:"clientId"`

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

	// ByUser counts all calls by address (ASCII letters lowered) and
	// operation. Calls without an address are not in it.
	ByUser map[string]map[string]int `json:"byUser"`

	// InFlight is how many calls are being answered now.
	InFlight int `json:"inFlight"`

	// MaxInFlight is the most there have been at once.
	MaxInFlight int `json:"maxInFlight"`

	// Connections is how many client addresses (host and port) calls came
	// from, up to 100,000.
	Connections int `json:"connections"`
}

// callLog keeps the log and its counters.
type callLog struct {
	mu       sync.Mutex
	seq      uint64
	ring     []*Call // grows to maxCalls, then the oldest is overwritten
	next     int     // where in a full ring the next call goes
	byOp     map[string]int
	byUser   map[string]map[string]int
	peers    map[string]struct{}
	inFlight int
	max      int
}

func newCallLog() *callLog {
	l := new(callLog)
	l.reset()
	return l
}

// reset forgets all calls. Those still running stay in flight, since they end
// later.
func (l *callLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq, l.ring, l.next = 0, nil, 0
	l.byOp = make(map[string]int)
	l.byUser = make(map[string]map[string]int)
	l.peers = make(map[string]struct{})
	l.max = l.inFlight
}

// begin notes that a call has arrived.
func (l *callLog) begin(c Call, peer string) *Call {
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
	if user := fold(c.Email); user != "" {
		if l.byUser[user] == nil {
			l.byUser[user] = make(map[string]int)
		}
		l.byUser[user][c.Op]++
	}
	if len(l.peers) < maxPeers {
		l.peers[peer] = struct{}{}
	}
	l.inFlight++
	l.max = max(l.max, l.inFlight)
	return entry
}

// end notes that a call is over. It comes just before the last byte of the
// answer is handed to the connection: a client that calls again the moment it
// has its answer must not count as two calls at once.
func (l *callLog) end(entry *Call, status int, problem string, fault bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status, entry.Error, entry.Fault = status, problem, fault
	l.inFlight--
}

// report copies the log. A limit of 0 means everything; otherwise only that
// many of the newest calls are listed, and ByUser holds their users only.
func (l *callLog) report(limit int) CallLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.ring)
	from := 0
	if limit > 0 && limit < n {
		from = n - limit
	}
	r := CallLog{
		Calls:       make([]Call, 0, n-from),
		ByOp:        make(map[string]int, len(l.byOp)),
		ByUser:      make(map[string]map[string]int),
		InFlight:    l.inFlight,
		MaxInFlight: l.max,
		Connections: len(l.peers),
	}
	for i := from; i < n; i++ {
		// In a full ring next is the oldest; before that it is 0.
		r.Calls = append(r.Calls, *l.ring[(l.next+i)%n])
	}
	for op, count := range l.byOp {
		r.ByOp[op] = count
	}
	if limit == 0 {
		for user := range l.byUser {
			r.copyUser(user, l.byUser)
		}
	} else {
		for _, c := range r.Calls {
			r.copyUser(fold(c.Email), l.byUser)
		}
	}
	return r
}

func (r *CallLog) copyUser(user string, from map[string]map[string]int) {
	if user == "" || r.ByUser[user] != nil {
		return
	}
	counts := make(map[string]int, len(from[user]))
	for op, n := range from[user] {
		counts[op] = n
	}
	r.ByUser[user] = counts
}
