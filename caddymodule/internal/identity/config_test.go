package identity

import (
	"strings"
	"testing"
)

// wantError fails unless the error contains all parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("without %q: %v", part, err)
		}
	}
}

func TestSourcesThatLoad(t *testing.T) {
	forwardAuth := Trust{Mode: TrustForwardAuth}
	keep := func(name string) bool { return name == "Oidc_claim_email" || name == "X.email" || name == "X_a.b" }
	tests := map[string]struct {
		config Config
		want   location
	}{
		"user":                   {Config{Email: "{http.auth.user.email}"}, location{kindUser, "http.auth.user.email"}},
		"variable":               {Config{Email: "{http.vars.user}"}, location{kindOperator, "http.vars.user"}},
		"variable like Caddy's":  {Config{Email: "{http.vars.client_ip2}"}, location{kindOperator, "http.vars.client_ip2"}},
		"map":                    {Config{Email: "{user_email}"}, location{kindOperator, "user_email"}},
		"certificate":            {Config{Email: "{http.request.tls.client.san.emails.0}"}, location{kindCertificate, "http.request.tls.client.san.emails.0"}},
		"response":               {Config{Email: "{http.reverse_proxy.header.remote-EMAIL}"}, location{kindResponse, "http.reverse_proxy.header.Remote-Email"}},
		"header":                 {Config{Email: "remote-EMAIL", Trust: trustProxy()}, location{kindHeader, "Remote-Email"}},
		"header, placeholder":    {Config{Email: "{http.request.header.remote-email}", Trust: trustProxy()}, location{kindHeader, "Remote-Email"}},
		"header, forward_auth":   {Config{Email: "remote-email", Trust: forwardAuth}, location{kindResponse, "http.reverse_proxy.header.Remote-Email"}},
		"underscore, kept":       {Config{Email: "OIDC_CLAIM_email", Trust: trustProxy(), ForwardsHeader: keep}, location{kindHeader, "Oidc_claim_email"}},
		"dot, kept":              {Config{Email: "x.email", Trust: trustProxy(), ForwardsHeader: keep}, location{kindHeader, "X.email"}},
		"both, kept":             {Config{Email: "x_a.b", Trust: trustProxy(), ForwardsHeader: keep}, location{kindHeader, "X_a.b"}},
		"underscore in response": {Config{Email: "OIDC_CLAIM_email", Trust: forwardAuth}, location{kindResponse, "http.reverse_proxy.header.Oidc_claim_email"}},
		"no ranges":              {Config{Email: "Remote-Email", Trust: Trust{Mode: TrustProxies}}, location{kindHeader, "Remote-Email"}},
		"trust without a header": {Config{Email: "{user_email}", Trust: trustProxy()}, location{kindOperator, "user_email"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if i := mustNew(t, tt.config); i.email.location != tt.want {
				t.Fatalf("%v, want %v", i.email.location, tt.want)
			}
		})
	}
}

func TestI06_SourcesThatDoNotLoad(t *testing.T) {
	const instead = "{http.auth.user.id}"
	tests := map[string]struct {
		email string
		parts []string
	}{
		"candidate":          {"{http.auth.candidate.id}", []string{instead, "not authenticated"}},
		"provider's error":   {"{http.auth.http_basic.error}", []string{instead}},
		"query":              {"{http.request.uri.query.user}", []string{instead, "client"}},
		"cookie":             {"{http.request.cookie.user}", []string{instead, "client"}},
		"uri":                {"{http.request.uri}", []string{instead, "client"}},
		"original uri":       {"{http.request.orig_uri.path}", []string{instead, "client"}},
		"path":               {"{http.request.uri.path.0}", []string{instead, "client"}},
		"body":               {"{http.request.body}", []string{instead, "client"}},
		"host":               {"{http.request.host}", []string{instead}},
		"peer":               {"{http.request.remote.host}", []string{instead}},
		"TLS":                {"{http.request.tls.server_name}", []string{"{http.request.tls.client."}},
		"TLS, other case":    {"{http.request.tls.Client.san.emails}", []string{"{http.request.tls.client."}},
		"expression":         {"{http.regexp.name.1}", []string{"map"}},
		"error":              {"{http.error.message}", []string{instead}},
		"upstream":           {"{http.reverse_proxy.upstream.host}", []string{"{http.reverse_proxy.header."}},
		"response":           {"{http.response.header.X-User}", []string{instead}},
		"environment":        {"{env.USER}", []string{instead, "same for every user"}},
		"file":               {"{file./run/user}", []string{instead, "same for every user"}},
		"system":             {"{system.hostname}", []string{instead, "same for every user"}},
		"time":               {"{time.now}", []string{instead, "same for every user"}},
		"client_ip":          {"{http.vars.client_ip}", []string{instead, "Caddy's own"}},
		"trusted_proxy":      {"{http.vars.trusted_proxy}", []string{instead, "Caddy's own"}},
		"uuid":               {"{http.vars.uuid}", []string{instead, "Caddy's own"}},
		"start_time":         {"{http.vars.start_time}", []string{instead, "Caddy's own"}},
		"root":               {"{http.vars.root}", []string{instead, "Caddy's own"}},
		"short header":       {"{header.Remote-Email}", []string{"without braces", "option trust"}},
		"short variable":     {"{vars.user}", []string{"{http.vars."}},
		"short response":     {"{rp.header.Remote-Email}", []string{"{http.reverse_proxy.header."}},
		"short query":        {"{query.user}", []string{instead}},
		"short cookie":       {"{cookie.user}", []string{instead}},
		"unknown, dotted":    {"{my.user}", []string{instead}},
		"prefix alone":       {"{http.auth.user.}", []string{instead}},
		"prefix in capitals": {"{HTTP.auth.user.id}", []string{instead}},
		"no header":          {"{http.request.header.}", []string{instead}},
		"bad header":         {"{http.request.header.A B}", []string{instead}},
		"empty placeholder":  {"{}", []string{instead}},
		"space within":       {"{user email}", []string{instead}},
		"text around":        {"{http.auth.user.id}@x.io", []string{"not a single placeholder", "map"}},
		"text before":        {"mailto:{http.auth.user.id}", []string{"not a single placeholder", "map"}},
		"two placeholders":   {"{a}{b}", []string{"not a single placeholder"}},
		"nested":             {"{a{b}}", []string{"not a single placeholder"}},
		"not closed":         {"{http.auth.user.id", []string{"not a single placeholder"}},
		"not opened":         {"http.auth.user.id}", []string{"not a single placeholder"}},
		"no token":           {"Remote/Email", []string{"not a header name", "Remote-Email"}},
		"no path":            {"Remote-Email a..b", []string{"path", "user.email"}},
		"no trust":           {"Remote-Email user.email", []string{"trust"}},
		"an address":         {"a@x.io", []string{"not a header name"}},
		"not ASCII":          {"R\u00e9mote-Email", []string{"not a header name"}},
		"header, no trust":   {"Remote-Email", []string{`"trust forward_auth"`, `"trust proxies <ranges>"`}},
		"as placeholder":     {"{http.request.header.Remote-Email}", []string{"Remote-Email", `"trust forward_auth"`, `"trust proxies <ranges>"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Email: tt.email})
			wantError(t, err, append(tt.parts, "email")...)
			if !strings.HasPrefix(err.Error(), "email") || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one problem of the option: %v", err)
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	email := "{http.auth.user.id}"
	tests := map[string]struct {
		config Config
		parts  []string
	}{
		"nothing":             {Config{}, []string{"email: ", "identity <preset>", "email <source>"}},
		"no email":            {Config{Name: "{user_name}"}, []string{"email: ", "identity <preset>"}},
		"unknown preset":      {Config{Preset: "authelio"}, []string{"identity: ", "authelio", "auth0, authelia, authentik, aws_alb, azure_easy_auth, basic_auth, caddy_jwt, caddy_security, caddy_tailscale, clerk, cloudflare_access, cognito, entra, firebase, gatekeeper, gcp_api_gateway, google_iap, istio, keycloak, oathkeeper, oauth2_proxy, oauth2_proxy_upstream, okta, pomerium, supabase, tailscale, teleport, vouch, zitadel"}},
		"bad user_id":         {Config{Email: email, UserID: "{env.U}"}, []string{"user_id: "}},
		"bad name":            {Config{Email: email, Name: "{env.U}"}, []string{"name: "}},
		"bad first_name":      {Config{Email: email, FirstName: "{env.U}"}, []string{"first_name: "}},
		"bad last_name":       {Config{Email: email, LastName: "{env.U}"}, []string{"last_name: "}},
		"bad verified":        {Config{Email: email, Verified: "{env.U}"}, []string{"verified: "}},
		"untrusted name":      {Config{Email: email, Name: "X-Name"}, []string{"name (X-Name)", `"trust forward_auth"`}},
		"untrusted preset":    {Config{Preset: "authelia"}, []string{"email (Remote-Email), user_id (Remote-User), name (Remote-Name): ", `"trust proxies <ranges>"`}},
		"or a signature":      {Config{Preset: "google_iap"}, []string{"email (X-Goog-Authenticated-User-Email)", `"identity google_iap { verify { … } }"`}},
		"a signature alone":   {Config{Preset: "teleport", Trust: trustProxy()}, []string{"identity: the preset teleport", "verify { … }", "with jwks, issuer, audience"}},
		"underscore":          {Config{Email: "X_Email", Trust: trustProxy()}, []string{"email: ", "X_email", "expected_underscore_headers"}},
		"dot":                 {Config{Email: "X.Email", Trust: trustProxy()}, []string{"email: ", "X.email", "expected_dot_headers"}},
		"underscore, name":    {Config{Email: email, Name: "{http.request.header.X_N}", Trust: trustProxy()}, []string{"name: ", "expected_underscore_headers"}},
		"underscore, dropped": {Config{Email: "X_Email", Trust: trustProxy(), ForwardsHeader: func(string) bool { return false }}, []string{"expected_underscore_headers"}},
		"upstream of proxies": {Config{Email: email, Trust: Trust{Mode: TrustProxies, Upstream: "a:1"}}, []string{"trust: ", `"trust forward_auth <upstream>"`}},
		"upstream of none":    {Config{Email: email, Trust: Trust{Upstream: "a:1"}}, []string{"trust: ", `"trust forward_auth <upstream>"`}},
		"ranges of auth":      {Config{Email: email, Trust: Trust{Mode: TrustForwardAuth, Ranges: ranges(t, "10.0.0.0/8")}}, []string{"trust: ", `"trust proxies <ranges>"`}},
		"forged by a client":  {Config{Email: "{http.request.header.remote-email}", AuthServer: fakeAuthServer{}}, []string{"email: ", "forge", "write its name alone: Remote-Email"}},
		"name of a client":    {Config{Email: "Remote-Email", Name: "{http.request.header.Remote-Name}", AuthServer: fakeAuthServer{}}, []string{"name: ", "forge"}},
		"wildcard domain":     {Config{Email: email, Domains: []string{"*.example.com"}}, []string{"domains: ", "*.example.com", "such as example.com"}},
		"domain with @":       {Config{Email: email, Domains: []string{"@example.com"}}, []string{"domains: ", "such as example.com"}},
		"leading dot":         {Config{Email: email, Domains: []string{".example.com"}}, []string{"domains: "}},
		"empty domain":        {Config{Email: email, Domains: []string{""}}, []string{"domains: "}},
		"joined domains":      {Config{Email: email, Domains: []string{"a.io,b.io"}}, []string{"domains: "}},
		"all at once": {
			Config{Preset: "x", Email: "{env.A}", Name: "a/b", Domains: []string{"*"}, Trust: Trust{Upstream: "a:1"}},
			[]string{"identity: ", "\nemail: ", "\nname: ", "\ntrust: ", "\ndomains: "},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i, err := New(tt.config)
			wantError(t, err, tt.parts...)
			if i != nil {
				t.Error("an Identifier and an error")
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("a secret: %v", err)
			}
		})
	}
}
