package sandbox

import (
	"encoding/hex"
	"errors"
	"time"
)

// HumanUser is a user of Human API's half. Each client id has users of its own.
type HumanUser struct {
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
	// ErrWhichClient says that a client id is needed.
	ErrWhichClient = errors.New("client_id: more than one client has a user of this id")
)

// humanKey is who a HumanUser is.
type humanKey struct{ clientID, userID string }

// humanUsers are the users of Human API's half, under the state's lock.
type humanUsers struct {
	byKey map[humanKey]*HumanUser
	order []*HumanUser
}

// grantSession finds or makes a user. It is false for one who has connected a
// source.
func (s *state) grantSession(clientID, userID string) (HumanUser, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.human.byKey[humanKey{clientID, userID}]
	if u == nil {
		u = &HumanUser{
			ClientID: clientID, ClientUserID: userID, IDAllowed: true,
			HumanID: hex.EncodeToString(randomBytes(12)), CreatedAt: s.now(),
		}
		s.human.byKey[humanKey{clientID, userID}] = u
		s.human.order = append(s.human.order, u)
	}
	return *u, !u.Connected
}

func (s *state) findHuman(clientID, userID string) (HumanUser, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return deref(s.human.byKey[humanKey{clientID, userID}])
}

// connect changes a user and returns how the user is now.
func (s *state) connect(c Connection) (HumanUser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *HumanUser
	for _, u := range s.human.order {
		if u.ClientUserID != c.ClientUserID || c.ClientID != "" && u.ClientID != c.ClientID {
			continue
		}
		if found != nil {
			return HumanUser{}, ErrWhichClient
		}
		found = u
	}
	if found == nil {
		return HumanUser{}, ErrNoSuchUser
	}
	found.Connected = c.Connected == nil || *c.Connected
	if c.IDAllowed != nil {
		found.IDAllowed = *c.IDAllowed
	}
	return *found, nil
}

// listHuman copies the users in the order they came; the newest only, if a
// limit is given.
func (s *state) listHuman(limit int) []HumanUser {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := newest(s.human.order, limit)
	users := make([]HumanUser, 0, len(newest))
	for _, u := range newest {
		users = append(users, *u)
	}
	return users
}
