package humatoken

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// SetDryRun configures the handler for a command that runs it without a server. Call
// it before Provision. Unless r.Register is set, it disables sign-up.
func (h *HumaToken) SetDryRun(r *endpoint.DryRun) {
	h.endpoint.DryRun = r
	if !r.Register {
		options := Registration{}
		if h.Registration != nil {
			options = *h.Registration
		}
		options.Disabled = true
		h.Registration = &options
	}
}

// DistinctClientTypes returns the client types that have a client id. If several client
// types have the same id, it returns only the first of them.
func (h *HumaToken) DistinctClientTypes() (types []string) {
	var p option.Errors // ignored: Provision has reported them
	ids := h.readService(&p).clientIDs
	seen := make(map[string]bool)
	for _, clientType := range clienttype.All {
		if id := ids[clienttype.Parse(clientType)]; id != "" && !seen[id] {
			seen[id] = true
			types = append(types, clientType)
		}
	}
	return types
}

// NeedsClock returns why the calls to Huma need a correct clock, or "" if they do not.
func (h *HumaToken) NeedsClock() string {
	if sig := h.Signature; sig != nil && (sig.Algorithm == "hawk" || strings.Contains(sig.Payload, "{sig.timestamp}")) {
		return "the signature contains a timestamp"
	}
	for _, values := range h.HeaderUp {
		if strings.Contains(strings.Join(values, " "), "{sig.timestamp}") {
			return "a header contains a timestamp"
		}
	}
	return ""
}

// placeholdersOnly matches payloads without literal text of the operator. Such text may
// contain a secret, so SigningScheme does not print it.
var placeholdersOnly = regexp.MustCompile(`^(\{sig\.[a-z_]+\}|[.:|+\s]|\\n)+$`)

// SigningScheme describes how calls to Huma are signed, without any secret.
func (h *HumaToken) SigningScheme() string {
	s := Signature{}
	if h.Signature != nil {
		s = *h.Signature
	}
	payload := cmp.Or(s.Payload, "{sig.body}")
	if !placeholdersOnly.MatchString(payload) {
		payload = "a custom payload"
	}
	switch header := cmp.Or(s.HeaderName, "signature"); s.Algorithm {
	case "off":
		return "no"
	case "hawk":
		return "hawk, in the header Authorization; the MAC also in the header " + header
	default:
		return fmt.Sprintf("%s of %s, in %s, in the header %s", cmp.Or(s.Algorithm, "hmac-sha256"), payload, cmp.Or(s.Encoding, "hex"), header)
	}
}
