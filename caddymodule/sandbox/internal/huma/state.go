package huma

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// User is an account of Huma's half.
type User struct {
	// Email is the address as it was registered.
	Email string `json:"email"`

	// UID is the id that sign-in and sign-up answer with.
	UID string `json:"uid"`

	// CreatedAt is when the account came into being.
	CreatedAt time.Time `json:"createdAt"`

	// Consented tells that sign-consent was called for this user.
	Consented bool `json:"consented"`

	// Profile holds the members of the sign-up's body, without the password.
	// It is empty for users that were there from the start.
	Profile map[string]any `json:"profile,omitempty"`
}

// State is what outlives a request: users, and which tokens and nonces are
// worthless. It is safe for concurrent use.
type State struct {
	now func() time.Time
	key []byte // signs tokens

	mu          sync.Mutex
	generation  uint64           // counts resets, from 1
	users       map[string]*User // by folded address
	byUID       map[string]*User
	order       []*User
	pending     []pendingUser
	revoked     map[string]time.Time // token ids, and when they are over anyway
	nonces      map[string]time.Time // Hawk nonces, and when they may be forgotten
	lastRemoval time.Time
}

// pendingUser is an account that appears later than its sign-up.
type pendingUser struct {
	due     time.Time
	email   string
	profile map[string]any
}

// NewState makes an empty state with a clock.
func NewState(now func() time.Time) *State {
	s := &State{now: now, key: service.RandomBytes(32)}
	s.Reset()
	return s
}

// Reset forgets everything.
func (s *State) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.users = make(map[string]*User)
	s.byUID = make(map[string]*User)
	s.order, s.pending = nil, nil
	s.revoked = make(map[string]time.Time)
	s.nonces = make(map[string]time.Time)
}

// Seed registers users, once for each reset: seeded is the generation in which
// it was done before.
func (s *State) Seed(seeded *atomic.Uint64, emails []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seeded.Swap(s.generation) == s.generation {
		return
	}
	for _, email := range emails {
		s.insert(email, nil)
	}
}

// find looks up a user by address.
func (s *State) find(email string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insertDue()
	u := s.users[service.FoldAddress(email)]
	if u == nil {
		return User{}, false
	}
	return *u, true
}

func (s *State) hasUID(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insertDue()
	return s.byUID[uid] != nil
}

// Create registers a user, unless the address is taken: then it returns the
// one who has it, and false.
func (s *State) Create(email string, profile map[string]any) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insertDue()
	return s.insert(email, profile)
}

// createLater registers a user at the given time, if the address is still
// free then. It is false if the address is taken already.
func (s *State) createLater(email string, profile map[string]any, due time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insertDue()
	if s.users[service.FoldAddress(email)] != nil {
		return false
	}
	s.pending = append(s.pending, pendingUser{due, email, profile})
	return true
}

// consent marks a user's consent.
func (s *State) consent(email string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insertDue()
	u := s.users[service.FoldAddress(email)]
	if u == nil {
		return false
	}
	u.Consented = true
	return true
}

// List copies the users in the order they came; the newest only, if a limit
// is given.
func (s *State) List(limit int) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insertDue()
	newest := service.Newest(s.order, limit)
	users := make([]User, 0, len(newest))
	for _, u := range newest {
		c := *u
		c.Profile = maps.Clone(u.Profile)
		users = append(users, c)
	}
	return users
}

// insertDue lets accounts appear whose time has come. Doing so at each look, and
// not by a timer, leaves nothing running.
func (s *State) insertDue() {
	if len(s.pending) == 0 {
		return
	}
	now := s.now()
	var waiting []pendingUser
	for _, p := range s.pending {
		if p.due.After(now) {
			waiting = append(waiting, p)
			continue
		}
		s.insert(p.email, p.profile)
	}
	s.pending = waiting
}

func (s *State) insert(email string, profile map[string]any) (User, bool) {
	key := service.FoldAddress(email)
	if u := s.users[key]; u != nil {
		return *u, false
	}
	u := &User{Email: email, UID: service.RandomID(12), CreatedAt: s.now(), Profile: profile}
	s.users[key] = u
	s.byUID[u.UID] = u
	s.order = append(s.order, u)
	return *u, true
}
