package identity

import (
	"strings"
	"testing"
)

// TestA_AzureEasyAuth checks which claim of Azure's App Service is used as the address.
func TestA_AzureEasyAuth(t *testing.T) {
	const (
		ns   = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
		mail = ns + "emailaddress=mail@clinic.example"
	)
	i := mustNew(t, Config{Preset: "azure_easy_auth", Trust: trustProxy()})
	for _, tt := range []struct {
		id, authType string
		claims       string // type=value, separated by spaces
		want         string
		rejection    *Rejection
	}{
		{"A1", "aad", mail + " preferred_username=al0042@corp.clinic.example", "mail@clinic.example", nil},
		{"A1", "aad", "preferred_username=al0042@corp.clinic.example upn=al0042@corp.clinic.example " + mail, "mail@clinic.example", nil},
		{"A1", "aad", "email=a@clinic.example " + mail, "a@clinic.example", nil},
		{"A1", "aad", "upn=al0042@clinic.example emails=mail@clinic.example", "mail@clinic.example", nil},
		{"A1", "", "emails=mail@clinic.example", "mail@clinic.example", nil},
		{"A1", "aad", "emails=a@clinic.example emails=b@clinic.example", "", ErrMultipleValues},
		{"A2", "aad", mail + " preferred_username=+441234567", "mail@clinic.example", nil},
		{"A2", "aad", mail + " preferred_username=alice", "mail@clinic.example", nil},
		{"A2", "aad", "preferred_username=alice upn=al0042@clinic.example", "", ErrNotAddress},
		{"A3", "aad", ns + "upn=al0042@clinic.example", "al0042@clinic.example", nil},
		{"A3", "aad", "upn=al0042@clinic.example", "al0042@clinic.example", nil},
		{"A3", "aad", "preferred_username=al0042@clinic.example", "al0042@clinic.example", nil},
		{"A3", "aad", "preferred_username=1@clinic.example upn=2@clinic.example " + ns + "upn=3@clinic.example", "1@clinic.example", nil},
		{"A3", "aad", ns + "upn=3@clinic.example upn=2@clinic.example", "2@clinic.example", nil},
		// Other providers let users choose these claims.
		{"A3", "google", "preferred_username=a@clinic.example upn=a@clinic.example", "", ErrNoClaim},
		{"A3", "", ns + "upn=a@clinic.example", "", ErrNoClaim},
		{"A3", "AAD", ns + "upn=a@clinic.example", "", ErrNoClaim},
		{"A3", "", "auth_typ=aad upn=a@clinic.example", "", ErrNoClaim},
		{"A4", "aad", "preferred_username=x_mail.example#EXT#@tenant.onmicrosoft.com", "", ErrNotAddress},
		{"A4", "aad", "preferred_username=live.com#x@mail.example", "", ErrNotAddress},
		{"A4", "aad", "upn=x_mail.example#EXT#@tenant.onmicrosoft.com", "", ErrNotAddress},
		{"A4", "aad", ns + "upn=live.com#x@mail.example", "", ErrNotAddress},
		{"A4", "aad", "preferred_username=live.com#x@mail.example upn=x@clinic.example", "", ErrNotAddress},
		{"A4", "aad", mail + " upn=x_mail.example#EXT#@tenant.onmicrosoft.com", "mail@clinic.example", nil},
		{"A5", "aad", "email=a@clinic.example email=a@clinic.example", "a@clinic.example", nil},
		{"A5", "aad", mail + " https://other.example/claims/emailaddress=mail@clinic.example", "mail@clinic.example", nil},
		{"A5", "aad", "email=a@clinic.example email=b@clinic.example", "", ErrNotText},
		{"A5", "aad", mail + " https://other.example/claims/emailaddress=a@clinic.example", "", ErrNotText},
		{"A5", "aad", "email= upn=a@clinic.example", "a@clinic.example", nil},
		{"A5", "aad", "email= email=a@clinic.example", "a@clinic.example", nil},
		{"A5", "aad", "email= " + ns + "emailaddress= emails= preferred_username= upn=a@clinic.example", "a@clinic.example", nil},
		{"A5", "google", "email= upn=a@clinic.example", "", ErrEmpty},
		{"A5", "aad", "email= upn=", "", ErrEmpty},
		// Nothing later is tried.
		{"A5", "aad", "email=alice upn=a@clinic.example", "", ErrNotAddress},
		// Similar names are not read.
		{"A5", "aad", "Email=a@clinic.example emailaddress=a@clinic.example claims/emailaddress=a@clinic.example x/claims/emailaddress/y=a@clinic.example", "", ErrNoClaim},
		{"C3", "google", "email=a@clinic.example email_verified=false", "", ErrEmailDenied},
		{"C3", "google", "email=a@clinic.example email_verified=true email_verified=false", "", ErrEmailDenied},
	} {
		var list []string
		for claim := range strings.SplitSeq(tt.claims, " ") {
			typ, value, _ := strings.Cut(claim, "=")
			list = append(list, `{"typ":"`+typ+`","val":"`+value+`"}`)
		}
		r := fromProxy("X-Ms-Client-Principal", b64(`{"auth_typ":"`+tt.authType+`","claims":[`+strings.Join(list, ",")+`]}`))
		u, err := i.Identify(t.Context(), r)
		if u.Email.Reveal() != tt.want || (tt.rejection == nil) != (err == nil) || tt.rejection != nil && err != tt.rejection {
			t.Errorf("%s: %s: %q, %v; want %q, %v", tt.id, tt.claims, u.Email.Reveal(), err, tt.want, tt.rejection)
		}
	}
	// Claims that are not in the list are not read.
	wantRejection(t, i, fromProxy("X-Ms-Client-Principal", b64(`{"email":"a@clinic.example","claims":{"email":"a@clinic.example"}}`)), ErrNoClaim)
}

// TestAzureEasyAuthNames checks which claims of Azure's App Service are the names.
func TestAzureEasyAuthNames(t *testing.T) {
	i := mustNew(t, Config{Preset: "azure_easy_auth", Trust: trustProxy()})
	for _, tt := range []struct{ claims, first, last string }{
		{`{"typ":"name","val":"Ada Lovelace"}`, "Ada", "Lovelace"},
		{`{"typ":"given_name","val":"Ada"},{"typ":"family_name","val":"Lovelace"}`, "Ada", "Lovelace"},
		{
			`{"typ":"given_name","val":"A."},{"typ":"family_name","val":"L."},` +
				`{"typ":"x/claims/surname","val":"Lovelace"},{"typ":"x/claims/givenname","val":"Ada"}`,
			"Ada", "Lovelace",
		},
		{`{"typ":"nickname","val":"Ada Lovelace"}`, "", ""},
	} {
		wantNames(t, i, fromProxy("X-Ms-Client-Principal", b64(`{"auth_typ":"aad","claims":[`+tt.claims+`]}`)), tt.first, tt.last)
	}
}
