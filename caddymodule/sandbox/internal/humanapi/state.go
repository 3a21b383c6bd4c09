package humanapi

import (
	"errors"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// User is a user of Human API. Users are per client.
type User struct {
	// ClientID is the client id of the application to which the user belongs.
	ClientID string `json:"clientId"`

	// ClientUserID is the user's id in the application.
	ClientUserID string `json:"clientUserId"`

	// HumanID is the member human_id of responses with a session token.
	HumanID string `json:"humanId"`

	// CreatedAt is the time of the user's creation, by the first session token.
	CreatedAt time.Time `json:"createdAt"`

	// Connected is true if the user has connected a data source. Such a user gets id
	// tokens; others get session tokens.
	Connected bool `json:"connected"`

	// IDAllowed is false if the user may not get id tokens.
	IDAllowed bool `json:"idAllowed"`
}

// Connection is a change of a user of Human API. It is also the body of
// POST /_sandbox/connect, in which unknown members are an error.
type Connection struct {
	// ClientUserID is the user's id in the application. The user must exist.
	ClientUserID string `json:"client_user_id"`

	// ClientID is the client id of the application to which the user belongs. It is
	// optional if only one client has a user with this id.
	ClientID string `json:"client_id,omitempty"`

	// Connected is the new value of User.Connected. Nil: true.
	Connected *bool `json:"connected,omitempty"`

	// IDAllowed is the new value of User.IDAllowed. Nil: it does not change. With false,
	// a user with a connected data source gets no token at all.
	IDAllowed *bool `json:"id_allowed,omitempty"`
}

// The errors of State.Connect.
var (
	// ErrNoSuchUser means that the user does not exist.
	ErrNoSuchUser = errors.New("client_user_id: user does not exist")
	// ErrAmbiguousClient means that several clients have a user with this id, so the
	// client id is required.
	ErrAmbiguousClient = errors.New("client_id is required: more than one client has a user with this id")
)

// key identifies a User.
type key struct{ clientID, userID string }

// State holds the users. Create it with NewState. It is safe for concurrent use.
type State struct {
	now func() time.Time

	mu    sync.Mutex
	byKey map[key]*User
	order []*User
}

// NewState returns an empty state. now is its clock.
func NewState(now func() time.Time) *State {
	s := &State{now: now}
	s.Reset()
	return s
}

// Reset deletes all users.
func (s *State) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byKey = make(map[key]*User)
	s.order = nil
}

// FindOrCreate returns a user, whom it creates if there is none. allowed reports
// whether the user may get a session token: whether no data source is connected.
func (s *State) FindOrCreate(clientID, userID string) (user User, allowed bool) {
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

// find returns a user, or false if there is none.
func (s *State) find(clientID, userID string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.byKey[key{clientID, userID}]
	if u == nil {
		return User{}, false
	}
	return *u, true
}

// Connect changes a user and returns the changed user. The error is ErrNoSuchUser or
// ErrAmbiguousClient.
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

// List returns a copy of the users in the order of their creation. With a limit above 0,
// it returns at most that many of the newest users.
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
