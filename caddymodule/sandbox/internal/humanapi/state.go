package humanapi

import (
	"errors"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// User is a user of Human API's half. Each client id has users of its own.
type User struct {
	// ClientID is the application that the user belongs to.
	ClientID string `json:"clientId"`

	// ClientUserID is what the application calls the user.
	ClientUserID string `json:"clientUserId"`

	// HumanID is the id that sessions answer with.
	HumanID string `json:"humanId"`

	// CreatedAt is when the user had the first session.
	CreatedAt time.Time `json:"createdAt"`

	// Connected tells that the user has connected a source: sessions are
	// refused, id tokens are granted.
	Connected bool `json:"connected"`

	// IDAllowed is false for a user who may get no id token.
	IDAllowed bool `json:"idAllowed"`
}

// Connection changes a user of Human API's half. It is also the body of
// POST /_sandbox/connect; unknown members are an error.
type Connection struct {
	// ClientUserID is the user, who has to exist.
	ClientUserID string `json:"client_user_id"`

	// ClientID is the application that the user belongs to. It may be left out
	// where only one has a user of that id.
	ClientID string `json:"client_id,omitempty"`

	// Connected connects a source, or with false takes it away again.
	// Default: true.
	Connected *bool `json:"connected,omitempty"`

	// IDAllowed says whether the user may get id tokens. With false and a
	// connected source the user gets no token at all.
	// Default: as it is; at first true.
	IDAllowed *bool `json:"id_allowed,omitempty"`
}

// What is wrong with a Connection.
var (
	// ErrNoSuchUser says that nobody has this id.
	ErrNoSuchUser = errors.New("client_user_id: there is no such user")
	// ErrAmbiguousClient says that a client id is needed.
	ErrAmbiguousClient = errors.New("client_id: more than one client has a user of this id")
)

// key is who a User is.
type key struct{ clientID, userID string }

// State holds the users, which outlive a request. It is safe for concurrent use.
type State struct {
	now func() time.Time

	mu    sync.Mutex
	byKey map[key]*User
	order []*User
}

// NewState makes an empty state with a clock.
func NewState(now func() time.Time) *State {
	s := &State{now: now}
	s.Reset()
	return s
}

// Reset forgets all users.
func (s *State) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byKey = make(map[key]*User)
	s.order = nil
}

// FindOrCreate finds or makes a user. It is false for one who has connected a
// source.
func (s *State) FindOrCreate(clientID, userID string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.byKey[key{clientID, userID}]
	if u == nil {
		u = &User{
			ClientID: clientID, ClientUserID: userID, IDAllowed: true,
			HumanID: service.RandomID(12), CreatedAt: s.now(),
		}
		s.byKey[key{clientID, userID}] = u
		s.order = append(s.order, u)
	}
	return *u, !u.Connected
}

func (s *State) find(clientID, userID string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.byKey[key{clientID, userID}]
	if u == nil {
		return User{}, false
	}
	return *u, true
}

// Connect changes a user and returns how the user is now.
func (s *State) Connect(c Connection) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *User
	for _, u := range s.order {
		if u.ClientUserID != c.ClientUserID || c.ClientID != "" && u.ClientID != c.ClientID {
			continue
		}
		if found != nil {
			return User{}, ErrAmbiguousClient
		}
		found = u
	}
	if found == nil {
		return User{}, ErrNoSuchUser
	}
	found.Connected = c.Connected == nil || *c.Connected
	if c.IDAllowed != nil {
		found.IDAllowed = *c.IDAllowed
	}
	return *found, nil
}

// List copies the users in the order they came; the newest only, if a
// limit is given.
func (s *State) List(limit int) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := service.Newest(s.order, limit)
	users := make([]User, 0, len(newest))
	for _, u := range newest {
		users = append(users, *u)
	}
	return users
}
