package identity

import "strings"

// Sources name where a user's particulars come from, each as a request
// header's name or a placeholder in braces. An empty one is not read.
type Sources struct {
	Email, UserID, Name, FirstName, LastName, Verified string
}

// Preset is the sources of one authentication layer. A preset is closed: it
// never reads what another layer writes.
type Preset struct {
	// Name is what follows the option identity.
	Name string
	// Sources are the preset's. One that is configured wins over the
	// preset's.
	Sources Sources
	// Note is what an operator should know of the layer.
	Note string
}

// presets is every preset there is, by name.
var presets = [...]Preset{
	{
		Name: "authelia",
		Sources: Sources{
			Email:  "Remote-Email",
			UserID: "Remote-User",
			Name:   "Remote-Name",
		},
		Note: "Sends no headers at all where its access control says bypass, so those requests are nobody's.",
	},
	{
		Name: "authentik",
		Sources: Sources{
			Email:  "X-Authentik-Email",
			UserID: "X-Authentik-Uid",
			Name:   "X-Authentik-Name",
		},
		Note: "The user id is authentik's hash, which stays when an address changes. Some versions have answered 200 without headers (CVE-2026-25748): such a request is nobody's.",
	},
	{
		Name: "basic_auth",
		Sources: Sources{
			Email:  "{http.auth.user.id}",
			UserID: "{http.auth.user.id}",
		},
		Note: "For accounts that are named by e-mail address.",
	},
	{
		Name: "caddy_security",
		Sources: Sources{
			Email:  "{http.auth.user.email}",
			UserID: "{http.auth.user.sub}",
			Name:   "{http.auth.user.name}",
		},
		Note: "A bypass rule signs in an empty user, who is nobody here.",
	},
	{
		Name: "oauth2_proxy",
		Sources: Sources{
			Email:     "X-Auth-Request-Email",
			UserID:    "X-Auth-Request-User",
			FirstName: "X-Auth-Request-Given-Name",
			LastName:  "X-Auth-Request-Family-Name",
		},
		Note: "Needs --set-xauthrequest. Sends first and last name only if they are added as claims (7.15.0 and newer). Several values arrive joined by commas and are refused.",
	},
	{
		Name: "tailscale",
		Sources: Sources{
			Email:  "Tailscale-User-Login",
			UserID: "Tailscale-User-Login",
			Name:   "Tailscale-User-Name",
		},
		Note: "The login is an address only with identity providers that use addresses: user@github is none, so set domains. Tagged nodes and Funnel send no user.",
	},
}

// Presets returns every preset there is, by name.
func Presets() []Preset { return append([]Preset(nil), presets[:]...) }

// findPreset returns the preset of that name.
func findPreset(name string) (Preset, bool) {
	for _, p := range presets {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}

// presetNames lists the presets for an error.
func presetNames() string {
	names := make([]string, len(presets))
	for n, p := range presets {
		names[n] = p.Name
	}
	return strings.Join(names, ", ")
}
