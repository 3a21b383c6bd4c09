package humatoken

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	huma_token [<matcher>] {
//	    # service and credentials
//	    config_file   <path>
//	    api           <url>
//	    project_id    <id>
//	    deployment_id <id>|off
//	    client_id     [ios|android|web] <id>
//	    secret        <secret>
//	    signature     hmac-sha256|hmac-sha512|hawk|off {
//	        encoding    hex|base64|base64url
//	        payload     <template>
//	        header_name <name>
//	        id          <id>
//	    }
//	    header_up     <name> <value>
//	    sign_in {
//	        path <path>
//	        body <member> <json>
//	        omit <member...>
//	    }
//	    sign_up {
//	        # the options of sign_in
//	    }
//	    tls {
//	        ca                 <pem file>
//	        client_certificate <cert file> <key file>
//	    }
//	    registration off
//	    registration {
//	        rate            <n>/<s|m|h> [<burst>]
//	        hold            <duration>
//	        sign_consent    on|off
//	        timezone        <zone>
//	        language        <tag>
//	        activation_code <code>
//	        attribute       <key> <value>
//	    }
//	    client_type ios|android|web
//
//	    # identity of the user
//	    identity [<preset>] {
//	        email         <source> [<path...>]
//	        user_id       <source> [<path...>]
//	        name          <source> [<path...>]
//	        first_name    <source> [<path...>]
//	        last_name     <source> [<path...>]
//	        verified      <source> [<path...>]
//	        domains       <domain...>
//	        name_encoding auto|utf8|latin1|rfc2047|percent|base64
//	        auth_server   <url> {
//	            forward_headers <name...>
//	            timeout         <duration>
//	            ca              <pem file>
//	        }
//	        verify {
//	            issuer   <iss>
//	            jwks     <url>
//	            audience <aud...>
//	            require  <claim> <value...>
//	            signer   <arn...>
//	            ca       <pem file>
//	        }
//	    }
//	    identity auth0|clerk|cognito|entra|firebase|keycloak|okta|supabase|zitadel {
//	        domain    <host>
//	        project   <id>
//	        tenant    <guid>
//	        user_pool <id>
//	        verified  assumed|off
//	        # the options of verify, and those above
//	    }
//	    trust forward_auth [<upstream>]
//	    trust proxies [<cidr|private_ranges>...]
//	    userinfo <url> {
//	        forward_headers <name...>
//	        email           <path>
//	        user_id         <path>
//	        name            <path>
//	        first_name      <path>
//	        last_name       <path>
//	        verified        <path>
//	        domains         <domain...>
//	        timeout         <duration>
//	        ca              <pem file>
//	        verify {
//	            token <header or cookie>
//	            # and issuer, jwks, audience, require, ca
//	        }
//	        cache           <duration>
//	    }
//
//	    # cache, limits and errors
//	    cache off
//	    cache [<ttl>] {
//	        ttl          <duration>
//	        max_entries  <n>
//	        negative_ttl <duration>
//	        vary         <placeholder...>
//	        redis {
//	            address               <host:port...>
//	            username              <name>
//	            password              <secret>
//	            db                    <n>
//	            key_prefix            <text>
//	            tls_enabled           on|off
//	            tls_server_certs_path <pem file>
//	            master_name           <name>
//	            cluster               on|off
//	            timeout               <duration>
//	            encryption_keys       <key...>
//	        }
//	    }
//	    no_cache        honor|ignore
//	    timeout         <duration>
//	    attempt_timeout <duration>
//	    retries         <n>
//	    breaker off
//	    breaker {
//	        failures <n>
//	        open     <duration>
//	    }
//	    max_concurrent  <n>
//	    max_waiting     <n>
//	    errors          problem|caddy
//	    cross_site      deny|allow
//	    allow_origins   <origin...>
//	    trace_upstream  on|off
//	    hash_key        <secret>
//	}
//
// client_id, header_up, body, attribute, require and address may be repeated, other
// options may not.
func (h *HumaToken) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return config.Unmarshal(d, h.serviceOptions(), &h.Common)
}

// serviceOptions returns the parsers of the options that select the Huma API and its
// credentials.
func (h *HumaToken) serviceOptions() option.Options {
	return option.Options{
		"config_file":   option.Text(&h.ConfigFile),
		"api":           option.Text(&h.API),
		"project_id":    option.Text(&h.ProjectID),
		"deployment_id": option.Text(&h.DeploymentID),
		"client_id":     h.parseClientID,
		"secret":        option.Secret(&h.Secret),
		"signature":     h.parseSignature,
		"header_up":     h.parseHeaderUp,
		"sign_in":       parseCall(&h.SignIn),
		"sign_up":       parseCall(&h.SignUp),
		"tls":           h.parseTLS,
		"registration":  h.parseRegistration,
		"client_type":   option.Enum(&h.ClientType, clienttype.All...),
	}
}

func (h *HumaToken) parseClientID(d *caddyfile.Dispenser) error {
	clientType := allTypes
	args := d.RemainingArgs()
	switch {
	case len(args) == 2 && slices.Contains(clienttype.All, args[0]):
		clientType = args[0]
	case len(args) == 2:
		return d.Errf("option 'client_id': unknown client type '%s': must be %s%s", args[0], strings.Join(clienttype.All, " or "), suggest.DidYouMean(args[0], clienttype.All))
	case len(args) > 2:
		return d.Errf("option 'client_id' takes a client type and an id, not %d values", len(args))
	case len(args) == 0:
		return option.Empty(d, "client_id")
	case slices.Contains(clienttype.All, args[0]):
		return d.Errf("option 'client_id': the id for client type '%s' is missing: is the environment variable set?", args[0])
	}
	if args[len(args)-1] == "" {
		return option.Empty(d, "client_id")
	}
	if _, ok := h.ClientID[clientType]; ok {
		return d.Err("duplicate option 'client_id' for the same client type")
	}
	if len(h.ClientID) > 0 && (clientType == allTypes || h.ClientID[allTypes] != "") {
		return d.Err("option 'client_id' takes one id for all client types, or one id per client type, not both")
	}
	if h.ClientID == nil {
		h.ClientID = make(ClientIDs)
	}
	h.ClientID[clientType] = args[len(args)-1]
	return nil
}

func (h *HumaToken) parseSignature(d *caddyfile.Dispenser) error {
	h.Signature = new(Signature)
	s := h.Signature
	return option.WithValue(option.Enum(&s.Algorithm, "hmac-sha256", "hmac-sha512", "hawk", "off"), option.Options{
		"encoding":    option.Enum(&s.Encoding, "hex", "base64", "base64url"),
		"payload":     option.Text(&s.Payload),
		"header_name": option.Text(&s.HeaderName),
		"id":          option.Text(&s.ID),
	})(d)
}

func (h *HumaToken) parseHeaderUp(d *caddyfile.Dispenser) error {
	values, err := option.Values(d, 2)
	if err != nil {
		return err
	}
	name, value := values[0], values[1]
	if h.HeaderUp == nil {
		h.HeaderUp = make(http.Header)
	}
	h.HeaderUp[name] = append(h.HeaderUp[name], value)
	option.WarnLiteral(d, "header_up", value)
	return nil
}

func (h *HumaToken) parseTLS(d *caddyfile.Dispenser) error {
	h.TLS = new(TLS)
	return option.Block(option.Options{
		"ca": option.Text(&h.TLS.CA),
		"client_certificate": func(d *caddyfile.Dispenser) error {
			values, err := option.Values(d, 2)
			if err != nil {
				return err
			}
			h.TLS.ClientCertificate, h.TLS.ClientKey = values[0], values[1]
			return nil
		},
	})(d)
}

const minHold = time.Second // of the option hold

func (h *HumaToken) parseRegistration(d *caddyfile.Dispenser) error {
	r := new(Registration)
	h.Registration = r
	return option.OffOrBlock(&r.Disabled, option.Options{
		"rate":            r.parseRate,
		"hold":            option.Duration(&r.Hold, minHold),
		"sign_consent":    option.Bool(&r.SignConsent),
		"timezone":        option.Text(&r.Timezone),
		"language":        option.Text(&r.Language),
		"activation_code": option.Secret(&r.ActivationCode),
		"attribute":       r.parseAttribute,
	})(d)
}

func (r *Registration) parseRate(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0:
		return option.Empty(d, "rate")
	case len(args) > 2:
		return d.Errf("option 'rate' takes a rate and a burst, not %d values", len(args))
	}
	if _, err := parseRate(args[0]); err != nil && !option.HasPlaceholder(args[0]) {
		return d.Errf("option 'rate' %v, not '%s'", err, args[0])
	}
	r.Rate = args[0]
	if len(args) == 1 {
		return nil
	}
	burst, err := strconv.Atoi(args[1])
	if err != nil || burst < 1 {
		return d.Errf("option 'rate': the burst must be an integer of at least 1, not '%s'", args[1])
	}
	r.Burst = burst
	return nil
}

func (r *Registration) parseAttribute(d *caddyfile.Dispenser) error {
	values, err := option.Values(d, 2)
	if err != nil {
		return err
	}
	key := values[0]
	if _, ok := r.Attribute[key]; ok {
		return d.Errf("duplicate option 'attribute' for the key '%s'", key)
	}
	if r.Attribute == nil {
		r.Attribute = make(map[string]string)
	}
	r.Attribute[key] = values[1]
	return nil
}
