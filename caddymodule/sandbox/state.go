package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
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

// state is everything that outlives a request, and in Caddy also a reload of
// the configuration. Servers with different configurations can share one.
type state struct {
	now   func() time.Time
	key   []byte // signs tokens
	calls *callLog

	mu         sync.Mutex
	generation uint64           // counts resets, from 1
	users      map[string]*User // by folded address
	byUID      map[string]*User
	order      []*User
	pending    []pendingUser
	human      humanUsers
	faults     []Fault
	revoked    map[string]time.Time // token ids, and when they are over anyway
	nonces     map[string]time.Time // Hawk nonces, and when they may be forgotten
	swept      time.Time
}

// pendingUser is an account that appears later than its sign-up.
type pendingUser struct {
	due     time.Time
	email   string
	profile map[string]any
}

func newState() *state {
	s := &state{now: time.Now, key: randomBytes(32), calls: newCallLog()}
	s.reset()
	return s
}

// Destruct lets a state live in a caddy.UsagePool. There is nothing to close.
func (*state) Destruct() error { return nil }

func (s *state) reset() {
	s.mu.Lock()
	s.generation++
	s.users = make(map[string]*User)
	s.byUID = make(map[string]*User)
	s.order, s.pending, s.faults = nil, nil, nil
	s.human = humanUsers{byKey: make(map[humanKey]*HumanUser)}
	s.revoked = make(map[string]time.Time)
	s.nonces = make(map[string]time.Time)
	s.mu.Unlock()
	s.calls.reset()
}

// find looks up a user by address.
func (s *state) find(email string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return deref(s.users[fold(email)])
}

func (s *state) hasUID(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.byUID[uid] != nil
}

func deref[T any](p *T) (value T, found bool) {
	if p == nil {
		return value, false
	}
	return *p, true
}

// create registers a user, unless the address is taken: then it returns the
// one who has it, and false.
func (s *state) create(email string, profile map[string]any) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.insert(email, profile)
}

// createLater registers a user at the given time, if the address is still
// free then. It is false if the address is taken already.
func (s *state) createLater(email string, profile map[string]any, due time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if s.users[fold(email)] != nil {
		return false
	}
	s.pending = append(s.pending, pendingUser{due, email, profile})
	return true
}

// consent marks a user's consent.
func (s *state) consent(email string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	u := s.users[fold(email)]
	if u == nil {
		return false
	}
	u.Consented = true
	return true
}

// list copies the users in the order they came; the newest only, if a limit
// is given.
func (s *state) list(limit int) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	newest := newest(s.order, limit)
	users := make([]User, 0, len(newest))
	for _, u := range newest {
		c := *u
		c.Profile = maps.Clone(u.Profile)
		users = append(users, c)
	}
	return users
}

// newest is the end of a list, or all of it without a limit.
func newest[T any](list []T, limit int) []T {
	if limit > 0 && limit < len(list) {
		return list[len(list)-limit:]
	}
	return list
}

// settle lets accounts appear whose time has come. Doing so at each look, and
// not by a timer, leaves nothing running.
func (s *state) settle() {
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

func (s *state) insert(email string, profile map[string]any) (User, bool) {
	key := fold(email)
	if u := s.users[key]; u != nil {
		return *u, false
	}
	u := &User{Email: email, UID: hex.EncodeToString(randomBytes(12)), CreatedAt: s.now(), Profile: profile}
	s.users[key] = u
	s.byUID[u.UID] = u
	s.order = append(s.order, u)
	return *u, true
}

// revoke makes a refresh token worthless; until is when it expires anyway.
func (s *state) revoke(tokenID string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	s.revoked[tokenID] = until
}

func (s *state) isRevoked(tokenID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.revoked[tokenID]
	return ok
}

// useNonce is false if the nonce was used before.
func (s *state) useNonce(nonce string, until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if _, ok := s.nonces[nonce]; ok {
		return false
	}
	s.nonces[nonce] = until
	return true
}

// sweep forgets nonces and revoked tokens that expiry refuses by itself.
func (s *state) sweep() {
	now := s.now()
	if now.Sub(s.swept) < time.Minute {
		return
	}
	s.swept = now
	over := func(_ string, until time.Time) bool { return until.Before(now) }
	maps.DeleteFunc(s.nonces, over)
	maps.DeleteFunc(s.revoked, over)
}

// fold lowers the ASCII letters of an address. Unicode's folding would make
// one user of two: U+212A, the Kelvin sign, folds to k.
func fold(email string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, email)
}

// maxAddress is the longest e-mail address, in bytes (RFC 5321).
const maxAddress = 254

// addressProblem says what is wrong with an e-mail address, if anything. It
// is a check for plain addresses, not a parser of everything mail allows.
func addressProblem(email string) string {
	local, domain, found := strings.Cut(email, "@")
	switch {
	case email == "":
		return "is empty"
	case len(email) > maxAddress:
		return "is too long"
	case !utf8.ValidString(email):
		return "is not UTF-8"
	case !found || local == "" || domain == "" || strings.Contains(domain, "@"):
		return "is not of the form local@domain"
	case strings.ContainsFunc(email, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return "holds a space or a control character"
	}
	return ""
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return b
}
