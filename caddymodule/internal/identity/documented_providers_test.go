package identity_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// documentedProviders are the sources of the presets of identity providers. An address is
// read only if the token says that it is verified.
var documentedProviders = map[string]testConfig{
	"auth0":    ofProvider(inVerified, "sub", "name", "given_name", "family_name"),
	"clerk":    ofProvider(inVerified, "sub", "name", "given_name", "family_name"),
	"cognito":  ofProvider(inVerified, "sub", "name", "given_name", "family_name"),
	"entra":    ofProvider(inEntra, "oid", "name", "given_name", "family_name"),
	"firebase": ofProvider(inVerified, "sub", "name"),
	"keycloak": ofProvider(inVerified, "sub", "name", "given_name", "family_name"),
	"okta":     ofProvider(inVerified, "sub", "name", "given_name", "family_name"),
	"zitadel":  ofProvider(inVerified, "sub", "name", "given_name", "family_name"),
	// With verified assumed.
	"supabase": {email: reading{"Authorization", inToken("email")}, id: reading{"Authorization", inToken("sub")}, names: []reading{{"Authorization", inToken("user_metadata.full_name", "user_metadata.name")}}},
}

// ofProvider returns the sources of a preset of an identity provider.
func ofProvider(email func(string) (any, bool), id string, names ...string) testConfig {
	c := testConfig{demands: true, email: reading{"Authorization", email}, id: reading{"Authorization", inToken(id)}}
	for _, name := range names {
		c.names = append(c.names, reading{"Authorization", inToken(name)})
	}
	return c
}

// inVerified reads the address of a token that says that it is verified.
func inVerified(text string) (any, bool) {
	verified, _ := inToken("email_verified")(text)
	email, ok := inToken("email")(text)
	if verified != true && verified != "true" {
		email = nil
	}
	return email, ok
}

// inEntra reads the address of a token of Microsoft Entra ID: email, if xms_edov says
// that its domain is verified, or else the login.
func inEntra(text string) (any, bool) {
	confirmed, _ := inToken("xms_edov")(text)
	email, ok := inToken("email")(text)
	if email != nil && slices.Contains([]any{true, "1", "true", json.Number("1")}, confirmed) {
		return email, ok
	}
	login, ok := inToken("preferred_username", "upn")(text)
	if strings.Contains(fmt.Sprint(login), "#") {
		return nil, ok
	}
	return login, ok
}

// verifiedDocument is a document with everything that a token of a provider has.
const verifiedDocument = `{"email":"ada@x.example","email_verified":true,"family_name":"Lovelace","given_name":"Ada","name":"Ada Lovelace","oid":"17","sub":"17","user_metadata":{"name":"Ada Lovelace"},"xms_edov":true}`

// providerSeeds returns tokens as seeds: with other values of the claim about the
// verified address, and with logins.
func providerSeeds() (all []string) {
	for _, value := range []string{`"true"`, `1`, `"1"`, `"yes"`, `"True"`, `false`, `null`, `[true]`, `"2026-01-01"`} {
		all = append(all, goodToken+strings.ReplaceAll(verifiedDocument, `true`, value))
	}
	for _, logins := range []string{
		`"preferred_username":"ada@x.example"`, `"upn":"ada@x.example"`, `"preferred_username":"","upn":"ada@x.example"`, `"preferred_username":"ada"`, `"preferred_username":["ada@x.example"]`,
		`"preferred_username":"ada#EXT#@x.example","upn":"ada@x.example"`, `"preferred_username":["a@x.example","b@x.example"]`, `"preferred_username":7`,
	} {
		for _, email := range []string{`"email":"bob@x.example",`, `"email":"bob@x.example","xms_edov":1,`, `"email":"bob@x.example","xms_edov":false,`, `"email":"",`, ``} {
			all = append(all, goodToken+`{`+email+`"oid":"17",`+logins+`}`)
		}
	}
	return all
}
