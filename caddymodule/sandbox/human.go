package sandbox

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
)

// Codes of Human API's errors: those that its guide names.
const (
	wordSessionNotAllowed = "SESSION_TOKEN_GENERATION_NOT_ALLOWED"
	wordIDNotAllowed      = "ID_TOKEN_GENERATION_NOT_ALLOWED"
	wordUserUnknown       = "UNKNOWN_CLIENT_USER_ID"
	wordClientUnknown     = "INVALID_CLIENT_ID"
	wordSecretWrong       = "INVALID_CLIENT_ID_OR_SECRET"
	wordClientNotAllowed  = "CLIENT_TOKEN_GENERATION_NOT_ALLOWED"
	wordNotAuthorized     = "NOT_AUTHORIZED"
	wordTypeWrong         = "INVALID_TOKEN_TYPE"
)

// wordStatus holds the codes with the status that the sandbox gives them. Only
// the 403 of a session that is refused is published.
var wordStatus = map[string]int{
	wordSessionNotAllowed: http.StatusForbidden,
	wordIDNotAllowed:      http.StatusForbidden,
	wordUserUnknown:       http.StatusForbidden,
	wordClientUnknown:     http.StatusForbidden,
	wordSecretWrong:       http.StatusUnauthorized,
	wordClientNotAllowed:  http.StatusForbidden,
	wordNotAuthorized:     http.StatusUnauthorized,
	wordTypeWrong:         http.StatusBadRequest,
}

// maxLogged is how many bytes of an id, or of all scopes, the log keeps.
const maxLogged = 1024

// human is Human API Connect.
var human = &service{
	requestID: "X-Humanapi-Request-Id",
	check:     (*Server).checkHuman,
	describe:  describeHuman,
	refuse:    (*refusal).humanAnswer,
	failure: func(status int) answer {
		return (&refusal{status: status, message: http.StatusText(status)}).humanAnswer()
	},
}

// humanOperations are the kinds of token at Human API's one endpoint, and what
// asks for neither.
func humanOperations() []*operation {
	body := schema{
		required: []string{"client_id", "client_user_id", "type", "client_secret"},
		members: with(texts("client_id", "client_user_id", "type", "client_secret", "client_user_email"),
			map[string]kind{"extra_scopes": kindTexts}),
	}
	ops := []*operation{
		{name: OpSession, kind: "session", serve: (*Server).humanSession},
		{name: OpID, kind: "id", serve: (*Server).humanID},
		{name: OpConnect, serve: wrongType},
	}
	for _, op := range ops {
		op.service, op.path, op.group, op.success, op.body = human, "/v1/connect/token", OpConnect, http.StatusOK, body
	}
	return ops
}

// describeHuman is what a body says about its sender, without the secret.
func describeHuman(entry *Call, members map[string]any) {
	text := func(name string, longest int) string {
		s, _ := members[name].(string)
		if len(s) > longest {
			return ""
		}
		return s
	}
	entry.ClientID = text("client_id", maxLogged)
	entry.ClientUserID = text("client_user_id", maxLogged)
	entry.Email = text("client_user_email", maxAddress)
	if scopes := scopesOf(members); len(fmt.Sprint(scopes)) <= maxLogged {
		entry.ExtraScopes = scopes
	}
}

// scopesOf are the strings in a body's extra_scopes.
func scopesOf(members map[string]any) []string {
	list, _ := members["extra_scopes"].([]any)
	var scopes []string
	for _, item := range list {
		if scope, ok := item.(string); ok {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// checkHuman is everything that comes before a user is looked at.
func (s *Server) checkHuman(c *call) *refusal {
	ref := checkContent(c)
	if ref == nil {
		ref = checkBody(c)
	}
	if ref == nil && c.op.kind != "" { // else the type is what is wrong
		ref = s.checkHumanValues(c)
	}
	return ref
}

func (s *Server) checkHumanValues(c *call) *refusal {
	for _, name := range c.op.body.required {
		if c.text(name) == "" {
			return refuse(http.StatusBadRequest, 0, "invalid body: %s is empty", name)
		}
	}
	if _, given := c.members["client_user_email"]; given {
		if c.op.name == OpID {
			return refuse(http.StatusBadRequest, 0, "invalid body: client_user_email goes with a session only")
		}
		if problem := addressProblem(c.text("client_user_email")); problem != "" {
			return refuse(http.StatusBadRequest, 0, "invalid body: client_user_email %s", problem)
		}
	}
	allowed := s.cfg.HumanAPI.ExtraScopes
	for i, scope := range scopesOf(c.members) {
		if scope == "" || len(allowed) > 0 && !slices.Contains(allowed, scope) {
			return refuse(http.StatusBadRequest, 0, "invalid body: scope %d of extra_scopes is not one of this client's", i+1)
		}
	}
	secret, found := s.cfg.HumanAPI.Clients[c.text("client_id")]
	if !found {
		return refuseWord(wordClientUnknown, "there is no such client")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(c.text("client_secret"))) != 1 {
		return refuseWord(wordSecretWrong, "the secret is not this client's")
	}
	return nil
}

// humanSession grants a session until a source is connected. A user's first
// one makes the user.
func (s *Server) humanSession(c *call) answer {
	user, granted := s.state.grantSession(c.text("client_id"), c.text("client_user_id"))
	if !granted {
		return refuseWord(wordSessionNotAllowed, "the user has connected a source").humanAnswer()
	}
	return jsonAnswer(c.op.success, map[string]any{
		"session_token": opaque(32),
		"human_id":      user.HumanID,
		"expires_in":    s.lifetime(s.cfg.HumanAPI.session()),
	})
}

func (s *Server) humanID(c *call) answer {
	user, found := s.state.findHuman(c.text("client_id"), c.text("client_user_id"))
	switch {
	case found && !user.IDAllowed:
		return refuseWord(wordIDNotAllowed, "not for this user").humanAnswer()
	case !found:
		return refuseWord(wordUserUnknown, "the user has never had a session").humanAnswer()
	case !user.Connected:
		return refuseWord(wordUserUnknown, "the user has not connected a source").humanAnswer()
	}
	return jsonAnswer(c.op.success, map[string]any{
		"token_type":          "Bearer",
		"id_token":            opaque(32),
		"id_refresh_token":    opaque(32),
		"id_token_expires_in": s.lifetime(s.cfg.HumanAPI.id()),
	})
}

// wrongType answers well-formed bodies of another type; access is one that
// exists, but not for what leads to a browser.
func wrongType(*Server, *call) answer {
	return refuseWord(wordTypeWrong, "type is neither session nor id").humanAnswer()
}

// refuseWord refuses with a code of Human API's. The message must not name a
// code: a client that finds codes in messages only would pass unnoticed.
func refuseWord(word, message string) *refusal {
	return &refusal{status: wordStatus[word], word: word, message: message}
}

// humanAnswer is a refusal as the sandbox writes Human API's. Only the name
// errorCode is published, not the body's shape: see Fault.Shape for others.
func (r *refusal) humanAnswer() answer {
	a := jsonAnswer(r.status, map[string]any{"message": r.message})
	a.problem = r.message
	if r.word != "" {
		a.body = wordBody(r.word, "errorCode", r.message)
		a.problem = r.word + ": " + r.message
	}
	return a
}

// opaque is a random text that means nothing.
func opaque(bytes int) string {
	return base64.RawURLEncoding.EncodeToString(randomBytes(bytes))
}
