package record

import (
	"net/http"
	"strings"
	"testing"
)

// canary is part of every value that must be masked.
const canary = "canary"

func TestMaskBody(t *testing.T) {
	const m = `"***"`
	for _, c := range []struct {
		name     string
		rule     rule // nil: that of a request
		in, want string
	}{
		{"a sign-in", nil,
			`{"clientId":"c1","projectId":"p1","email":"canary@x.io","language":"en"}`,
			`{"clientId":"c1","email":` + m + `,"language":"en","projectId":"p1"}`},
		{"a sign-up", nil,
			`{"clientId":"c1","ipAddress":"canary","userAttributes":{"givenName":"canary","clientId":"canary"},"validationData":{"activationCode":"canary"},"timezone":"Europe/Vienna"}`,
			`{"clientId":"c1","ipAddress":` + m + `,"timezone":"Europe/Vienna","userAttributes":{"clientId":` + m + `,"givenName":` + m + `},"validationData":{"activationCode":` + m + `}}`},
		{"for Human API", nil,
			`{"client_id":"h","client_secret":"canary","client_user_id":"canary","client_user_email":"canary","type":"id","extra_scopes":["a","b"]}`,
			`{"client_id":"h","client_secret":` + m + `,"client_user_email":` + m + `,"client_user_id":` + m + `,"extra_scopes":["a","b"],"type":"id"}`},
		{"members of the operator", nil,
			`{"clientId":"c1","method":4,"type":"canary","extra_scopes":["canary"],"__proto__":{"clientId":"canary"}}`,
			`{"__proto__":{"clientId":` + m + `},"clientId":"c1","extra_scopes":[` + m + `],"method":` + m + `,"type":` + m + `}`},
		{"an unknown member", nil, `{"nickname":"canary"}`, `{"nickname":` + m + `}`},

		{"tokens", responseMembers,
			`{"uid":"canary","authToken":"canary","authTokenExpiresIn":900,"refreshToken":"canary","expiresIn":"3887999.603985"}`,
			`{"authToken":` + m + `,"authTokenExpiresIn":900,"expiresIn":"3887999.603985","refreshToken":` + m + `,"uid":` + m + `}`},
		{"an error", responseMembers, `{"code":300011,"message":"canary@x.io is unknown"}`, `{"code":300011,"message":` + m + `}`},
		{"a code of Human API", responseMembers, `{"errorCode":"INVALID_CLIENT_ID","error":{"code":"canary"}}`, `{"error":{"code":` + m + `},"errorCode":"INVALID_CLIENT_ID"}`},
		{"an error that is a text", responseMembers, `{"error":"canary"}`, `{"error":` + m + `}`},
		{"a code with words around", responseMembers, `{"message":"INVALID_CLIENT_ID for canary"}`, `{"message":` + m + `}`},
		{"a code that is a number", responseMembers, `{"code":4366012345678}`, `{"code":` + m + `}`},
		{"a lifetime that is none", responseMembers, `{"expires_in":"canary","expiresIn":{"canary":"canary"}}`, `{"expiresIn":{"canary":` + m + `},"expires_in":` + m + `}`},
		{"a request's member", responseMembers, `{"clientId":"canary"}`, `{"clientId":` + m + `}`},
		{"numbers and truths", responseMembers, `{"dob":19700101,"vip":true,"none":null,"empty":""}`, `{"dob":` + m + `,"empty":"","none":null,"vip":` + m + `}`},
		{"names that are addresses", responseMembers, `{"canary@x.io":{"canary x":1},"":"a"}`, ``},
		{"a list", responseMembers, `["canary",{"a":"canary"},["canary"]]`, `[` + m + `,{"a":` + m + `},` + m + `]`},
		{"a text", responseMembers, `"canary"`, m},
		{"HTML", responseMembers, `<html>canary`, `(not JSON, 12 bytes)`},
		{"two values", responseMembers, `{}{"canary":1}`, `(more than one JSON value, 14 bytes)`},
		{"nothing", responseMembers, ``, ``},
		{"too long", responseMembers, `"` + strings.Repeat(canary, 20_000) + `"`, `(longer than 64 KiB)`},
		{"too deep", responseMembers, strings.Repeat(`{"a":`, 8) + `"canary"` + strings.Repeat(`}`, 8), ``},
		{"too many", responseMembers, `[` + strings.Repeat(`1,`, 60) + `"canary"]`, m},
		{"a name with canary inside", responseMembers, `{"` + strings.Repeat("a", 61) + `":1}`, `{"***":` + m + `}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.rule == nil {
				c.rule = requestMembers([]byte(c.in))
			}
			got := maskBody([]byte(c.in), c.rule)
			if c.want != "" && got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if c.want == "" && c.in != "" && got == "" {
				t.Error("nothing is shown")
			}
			if shown := strings.ReplaceAll(got, `{"canary":"***"}`, ""); strings.Contains(shown, canary) {
				t.Errorf("the canary is shown: %s", got)
			}
		})
	}
}

func TestMaskHeader(t *testing.T) {
	show := func(fields []Field) string {
		var lines []string
		for _, f := range fields {
			lines = append(lines, f.Name+": "+f.Value)
		}
		return strings.Join(lines, "\n")
	}
	sent := http.Header{
		"Accept": {"application/json", canary}, "deploymentId": {"d1"}, "signature": {canary}, "Authorization": {canary},
		"User-Agent": {canary}, "Content-Type": {"application/json"}, "X-Odd": {canary},
	}
	if got, want := show(maskHeader(sent, requestHeader)), "Accept: application/json\nAccept: ***\nAuthorization: ***\nContent-Type: application/json\n"+
		"User-Agent: ***\nX-Odd: ***\ndeploymentId: d1\nsignature: ***"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	responded := http.Header{
		"Content-Type": {"text/html; charset=" + canary, canary + " text"}, "Date": {"Sat, 21 Nov 2026 14:31:20 GMT", canary},
		"Retry-After": {"7", canary}, "Location": {"https://u:canary@login.example/canary?canary#canary", "/canary"},
		"Server": {"nginx/1.2", "canary for a@x.io"}, "X-Humanapi-Request-Id": {"q-8s", canary + "@"}, "Set-Cookie": {canary}, "Content-Length": {"12"},
	}
	if got, want := show(maskHeader(responded, responseHeader)), "Content-Length: 12\nContent-Type: text/html\nContent-Type: ***\nDate: Sat, 21 Nov 2026 14:31:20 GMT\nDate: ***\n"+
		"Location: https://login.example/***\nLocation: ***\nRetry-After: 7\nRetry-After: ***\nServer: nginx/1.2\nServer: ***\n"+
		"Set-Cookie: ***\nX-Humanapi-Request-Id: q-8s\nX-Humanapi-Request-Id: ***"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
