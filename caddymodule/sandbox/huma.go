package sandbox

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// huma is the Huma Integration API.
var huma = &service{
	check:    (*Server).checkHuma,
	describe: describeHuma,
	refuse:   (*refusal).answer,
	failure:  faultAnswer,
}

// humaOperations are the endpoints of the Huma Integration API. Members and
// headers are those of its published description (OpenAPI, version 1.0.0).
func humaOperations() []*operation {
	ops := []*operation{
		{
			name: OpSignIn, path: "/api/integration/v1/auth/signin", success: http.StatusOK, signed: true, serve: (*Server).signIn,
			body: schema{
				required: []string{"clientId", "projectId", "email"},
				members:  texts("language", "clientId", "projectId", "deviceAgent", "email"),
			},
		},
		{
			name: OpSignUp, path: "/api/integration/v1/auth/signup", success: http.StatusCreated, signed: true, serve: (*Server).signUp,
			body: schema{
				required: []string{"clientId", "ipAddress", "projectId", "email"},
				members: with(texts("language", "clientId", "projectId", "email", "contactEmail", "phoneNumber", "password",
					"displayName", "timezone", "userId", "deviceAgent", "ipAddress"),
					map[string]kind{"validationData": kindObject, "userAttributes": kindObject, "ssoEnabled": kindBoolean}),
			},
		},
		{
			name: OpConsent, path: "/api/integration/v1/auth/sign-consent", success: http.StatusCreated, signed: true, serve: (*Server).signConsent,
			body: schema{required: []string{"email"}, members: texts("email")},
		},
		{
			name: OpRefresh, path: "/api/auth/v1/refreshtoken", success: http.StatusOK, serve: (*Server).refresh,
			body: schema{
				required: []string{"refreshToken"},
				members:  texts("refreshToken", "password", "email", "deviceAgent", "deviceToken"),
			},
		},
		{
			name: OpSignOut, path: "/api/auth/v1/signout", success: http.StatusOK, serve: (*Server).signOut,
			body: schema{
				required: []string{"deviceAgent"},
				members: with(texts("id", "userId", "refreshToken", "deviceAgent", "devicePushId", "deviceToken", "voipDevicePushId"),
					map[string]kind{"updateDateTime": kindTime, "createDateTime": kindTime, "isActive": kindBoolean}),
			},
		},
	}
	for _, op := range ops {
		op.service = huma
	}
	return ops
}

func texts(names ...string) map[string]kind {
	members := make(map[string]kind, len(names))
	for _, name := range names {
		members[name] = kindText
	}
	return members
}

func with(members, more map[string]kind) map[string]kind {
	maps.Copy(members, more)
	return members
}

// describeHuma is what a body says about its sender.
func describeHuma(entry *Call, members map[string]any) {
	entry.ClientID, _ = members["clientId"].(string)
	if email, _ := members["email"].(string); len(email) <= maxAddress {
		entry.Email = email
	}
}

// checkHuma is everything that comes before an operation.
func (s *Server) checkHuma(c *call) *refusal {
	ref := s.checkHead(c)
	if ref == nil {
		ref = checkBody(c)
	}
	if ref == nil {
		ref = s.checkClient(c)
	}
	return ref
}

// checkClient compares a body's project, client and address with what the
// sandbox knows.
func (s *Server) checkClient(c *call) *refusal {
	if project, found := c.members["projectId"]; found && project != s.cfg.ProjectID {
		return refuse(http.StatusForbidden, codeProjectInvalid, "invalid project id")
	}
	_, found := c.members["clientId"]
	if found && !slices.Contains(slices.Collect(maps.Values(s.cfg.ClientIDs)), c.text("clientId")) {
		return refuse(http.StatusForbidden, codeClientInvalid, "invalid client id")
	}
	if c.op.signed {
		if problem := addressProblem(c.text("email")); problem != "" {
			return refuse(http.StatusBadRequest, codeInvalidRequest, "invalid body: email %s", problem)
		}
	}
	return nil
}

func (s *Server) signIn(c *call) answer {
	user, found := s.state.find(c.text("email"))
	if !found {
		return refuse(http.StatusForbidden, codeUserUnknown, "user does not exist").answer()
	}
	return s.session(c, user)
}

func (s *Server) signUp(c *call) answer {
	ip, err := netip.ParseAddr(c.text("ipAddress"))
	if err != nil || ip.Zone() != "" {
		return refuse(http.StatusBadRequest, codeInvalidRequest, "invalid body: ipAddress is not an IP address").answer()
	}
	profile := maps.Clone(c.members)
	delete(profile, "password")
	var user User
	var created bool
	if c.appearAt.IsZero() {
		user, created = s.state.create(c.text("email"), profile)
	} else {
		created = s.state.createLater(c.text("email"), profile, c.appearAt)
	}
	if !created {
		return refuse(http.StatusBadRequest, codeUserExists, "user already exists").answer()
	}
	if s.cfg.SignUpWithoutToken {
		return jsonAnswer(c.op.success, map[string]any{"uid": user.UID})
	}
	return s.session(c, user)
}

func (s *Server) signConsent(c *call) answer {
	if !s.state.consent(c.text("email")) {
		return refuse(http.StatusForbidden, codeUserUnknown, "user does not exist").answer()
	}
	return answer{status: c.op.success}
}

// refresh answers with a new auth token and the same refresh token, whose life
// goes on: whether the real service rotates it is not published.
func (s *Server) refresh(c *call) answer {
	old, ref := s.checkRefreshToken(c)
	if ref != nil {
		return ref.answer()
	}
	token := s.state.issue(claims{Subject: old.Subject, Type: authToken, ProjectID: old.ProjectID, ClientID: old.ClientID}, s.cfg.AuthTokenLifetime)
	return jsonAnswer(c.op.success, map[string]any{
		"authToken":             token,
		"expiresIn":             s.lifetime(s.cfg.AuthTokenLifetime),
		"refreshToken":          c.text("refreshToken"),
		"refreshTokenExpiresIn": s.lifetime(old.expires().Sub(s.state.now())),
	})
}

// signOut revokes the refresh token in the body, if there is one. Auth tokens
// run out by themselves: whether the real service revokes them is not
// published.
func (s *Server) signOut(c *call) answer {
	uid := c.text("userId")
	if _, given := c.members["refreshToken"]; given {
		old, ref := s.checkRefreshToken(c)
		if ref != nil {
			return ref.answer()
		}
		if uid != "" && uid != old.Subject {
			return refuse(http.StatusForbidden, codeForbiddenID, "forbidden id: user").answer()
		}
		uid = old.Subject
		s.state.revoke(old.ID, old.expires())
	}
	if uid == "" {
		return refuse(http.StatusBadRequest, codeInvalidRequest, "invalid body: neither userId nor refreshToken").answer()
	}
	if !s.state.hasUID(uid) {
		return refuse(http.StatusForbidden, codeUserUnknown, "user does not exist").answer()
	}
	return jsonAnswer(c.op.success, map[string]any{"id": uid})
}

func (s *Server) checkRefreshToken(c *call) (claims, *refusal) {
	old, err := s.state.verify(c.text("refreshToken"), refreshToken)
	if errors.Is(err, errTokenExpired) {
		return claims{}, refuse(http.StatusUnauthorized, codeTokenExpired, "token expired")
	}
	if err != nil || !s.state.hasUID(old.Subject) {
		return claims{}, refuse(http.StatusUnauthorized, codeTokenWrong, "wrong token")
	}
	return old, nil
}

// session is the answer of sign-in and sign-up.
func (s *Server) session(c *call, user User) answer {
	who := claims{Subject: user.UID, ProjectID: s.cfg.ProjectID, ClientID: c.text("clientId")}
	auth, refresh := who, who
	auth.Type, refresh.Type = authToken, refreshToken
	return jsonAnswer(c.op.success, map[string]any{
		"uid":                user.UID,
		"authToken":          s.state.issue(auth, s.cfg.AuthTokenLifetime),
		"authTokenExpiresIn": s.lifetime(s.cfg.AuthTokenLifetime),
		"refreshToken":       s.state.issue(refresh, s.cfg.RefreshTokenLifetime),
		"expiresIn":          s.lifetime(s.cfg.RefreshTokenLifetime),
	})
}

// lifetime writes a lifetime in seconds, as a number or, as the older service
// did, as a string.
func (s *Server) lifetime(d time.Duration) any {
	if s.cfg.LifetimesAsStrings {
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
	}
	return int64(d / time.Second)
}

func jsonAnswer(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // made of strings and numbers here
	}
	return answer{status: status, body: body}
}

// answer is a refusal as Huma writes it.
func (r *refusal) answer() answer {
	a := jsonAnswer(r.status, map[string]any{"code": r.code, "message": r.message})
	a.problem = r.message
	return a
}
