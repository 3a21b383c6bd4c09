package identity

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	i := mustNew(t, Config{
		Email: "{http.auth.user.email}", Name: "{http.auth.user.name}",
		FirstName: "{http.auth.user.given_name}", LastName: "{http.auth.user.family_name}",
	})
	long := strings.Repeat("\u738b", 100) // 300 bytes
	tests := map[string]struct {
		name, first, last   any
		wantFirst, wantLast string
	}{
		"none":                       {nil, nil, nil, "", ""},
		"two":                        {"Ren\u00e9 M\u00fcller", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"three":                      {"Anna Maria Miller", nil, nil, "Anna Maria", "Miller"},
		"single":                     {"Alice", nil, nil, "Alice", ""},
		"around":                     {"  Alice  Miller ", nil, nil, "Alice", "Miller"},
		"inner spaces stay":          {"Anna  Maria Miller", nil, nil, "Anna  Maria", "Miller"},
		"first and last win":         {"Somebody Else", "Anna Maria", "von Miller", "Anna Maria", "von Miller"},
		"first wins, last is filled": {"A. Miller", "Anna", nil, "Anna", "Miller"},
		"last wins, first is filled": {"Anna Miller", nil, "Smith", "Anna", "Smith"},
		"single beside last":         {"Miller", nil, "Miller", "", "Miller"},
		"single beside first":        {"Anna", "Anna", nil, "Anna", ""},
		"encoded words":              {"=?utf-8?q?Ren=C3=A9_M=C3=BCller?=", nil, nil, "Ren\u00e9", "M\u00fcller"},
		"long":                       {nil, long, long, long[:198], long[:198]},
		"long name":                  {long + " " + long, nil, nil, long[:198], long[:198]},
		"cut at a space":             {nil, strings.Repeat("a", 199) + " b", nil, strings.Repeat("a", 199), ""},
		"a list of one":              {[]string{"Alice Miller"}, nil, nil, "Alice", "Miller"},
		"no text":                    {7, true, []string{"a", "b"}, "", ""},
		"a placeholder's text":       {"{env.HOME}", nil, nil, "{env.HOME}", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := placeholders{"http.auth.user.name": tt.name, "http.auth.user.given_name": tt.first, "http.auth.user.family_name": tt.last}
			wantNames(t, i, withPlaceholders(p), tt.wantFirst, tt.wantLast)
		})
	}
	wantNames(t, i, withPlaceholders(nil), "", "")
	wantNames(t, byUser(t), withPlaceholders(placeholders{"http.auth.user.name": "Alice"}), "", "")
}

func TestNamesFromHeaders(t *testing.T) {
	i := mustNew(t, Config{Email: "Remote-Email", Name: "Remote-Name", Trust: trustProxy()})
	wantNames(t, i, fromProxy("Remote-Name", "Alice Miller"), "Alice", "Miller")
	wantNames(t, i, fromProxy("Remote-Name", "Alice", "Remote-Name", "Alice"), "", "")
	wantNames(t, i, fromProxy("Remote_Name", "Alice", "Remote.Name", "Alice"), "", "")
	r := fromProxy("Remote-Name", "Alice Miller")
	r.RemoteAddr = untrustedPeer
	wantNames(t, i, r, "", "")
}
