package huma

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// User is a user of Huma.
type User struct {
	// Email is the email address as in the sign-up.
	Email string `json:"email"`

	// UID is the member uid of the responses to sign-in and sign-up.
	UID string `json:"uid"`

	// CreatedAt is the time of the user's creation.
	CreatedAt time.Time `json:"createdAt"`

	// Consented is true if sign-consent was called for this user.
	Consented bool `json:"consented"`

	// Profile has the members of the sign-up's body, without the password. Nil for
	// configured users.
	Profile map[string]any `json:"profile,omitempty"`
}

// State holds the users, the revoked tokens and the used nonces. Create it with NewState.
// It is safe for concurrent use.
type State struct {
	now func() time.Time
	key []byte // signs tokens

	mu          sync.Mutex
	generation  uint64           // number of resets, including that of NewState
	users       map[string]*User // by FoldAddress
	byUID       map[string]*User
	order       []*User
	revoked     map[string]time.Time // until when, by token id: the expiry of the token
	nonces      map[string]time.Time // until when, by Hawk nonce: the end of its validity
	lastRemoval time.Time
}

// NewState returns an empty state. now is its clock.
func NewState(now func() time.Time) *State {
	s := &State{now: now, key: service.RandomBytes(32)}
	s.Reset()
	return s
}

// Reset deletes everything.
func (s *State) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.users = make(map[string]*User)
	s.byUID = make(map[string]*User)
	s.order = nil
	s.revoked = make(map[string]time.Time)
	s.nonces = make(map[string]time.Time)
}

// Seed adds users once per generation, that is after the start and after each Reset.
// seeded is the generation of the last call and is updated.
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

// find returns the user with an email address, or false if there is none.
func (s *State) find(email string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[service.FoldAddress(email)]
	if u == nil {
		return User{}, false
	}
	return *u, true
}

// hasUID reports whether there is a user with a uid.
func (s *State) hasUID(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byUID[uid] != nil
}

// Create creates a user and returns it with true. If a user with this address exists, it
// returns that user and false.
func (s *State) Create(email string, profile map[string]any) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.insert(email, profile)
}

// createLater creates a user after some time, unless the address is taken by then, or the
// state was reset. It returns false if the address is taken now.
func (s *State) createLater(email string, profile map[string]any, after time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[service.FoldAddress(email)] != nil {
		return false
	}
	generation := s.generation
	time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.generation == generation {
			s.insert(email, profile)
		}
	})
	return true
}

// consent sets Consented of a user. It returns false if there is no such user.
func (s *State) consent(email string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[service.FoldAddress(email)]
	if u == nil {
		return false
	}
	u.Consented = true
	return true
}

// List returns a copy of the users in the order of their creation. With a limit above 0,
// it returns at most that many of the newest users.
func (s *State) List(limit int) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := service.Newest(s.order, limit)
	users := make([]User, 0, len(newest))
	for _, u := range newest {
		c := *u
		c.Profile = maps.Clone(u.Profile)
		users = append(users, c)
	}
	return users
}

// insert is Create for callers that hold s.mu.
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
