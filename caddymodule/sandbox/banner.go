package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"text/template"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
)

// banner is printed at the start of the command: the URL and the credentials.
type banner struct {
	URL        string         `json:"url"`
	Huma       humaAccess     `json:"huma_token"`
	HumanAPI   humanAPIAccess `json:"human_api_token"`
	ConfigFile *configFile    `json:"huma_config,omitempty"` // nil: the edition has none
}

// humaAccess are the options of huma_token that match the sandbox.
type humaAccess struct {
	API          string            `json:"api"`
	ProjectID    string            `json:"project_id"`
	DeploymentID string            `json:"deployment_id"`
	ClientID     map[string]string `json:"client_id"`
	Secret       string            `json:"secret,omitempty"`

	// For the oldest edition only.
	Signature map[string]string   `json:"signature,omitempty"`
	HeaderUp  map[string][]string `json:"header_up,omitempty"`
	SignIn    *call               `json:"sign_in,omitempty"`
	SignUp    *call               `json:"sign_up,omitempty"`
}

// call is the option sign_in or sign_up of huma_token.
type call struct {
	Path string         `json:"path"`
	Body map[string]int `json:"body"`
	Omit []string       `json:"omit,omitempty"`
}

// oldestAccess changes the options to those of the oldest edition.
func (h *humaAccess) oldestAccess() {
	method := map[string]int{"method": 4}
	h.DeploymentID = "off"
	h.Signature = map[string]string{"algorithm": "off"}
	h.HeaderUp = map[string][]string{"verification-token": {h.Secret}}
	h.SignIn = &call{Path: "/auth/v1/private/signin", Body: method}
	h.SignUp = &call{Path: "/auth/v1/private/signup", Body: method, Omit: []string{"ipAddress"}}
	h.Secret = ""
}

// humanAPIAccess are the options of human_api_token that match the sandbox.
type humanAPIAccess struct {
	API          string `json:"api"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// configFile is the content of a huma-config.json that matches the sandbox.
type configFile struct {
	APIURL       string            `json:"apiUrl"`
	ProjectID    string            `json:"projectId"`
	DeploymentID string            `json:"deploymentId"`
	Clients      map[string]string `json:"clients"`
	Secret       string            `json:"secret"`
}

// String returns the file as JSON in one line.
func (c configFile) String() string {
	b, _ := json.Marshal(c) // strings cannot fail to marshal
	return string(b)
}

// printBanner prints the URL and the credentials of a sandbox that listens on addr, as
// text or as JSON.
func (s *standalone) printBanner(out io.Writer, cfg Config, addr net.Addr) error {
	address := addr.(*net.TCPAddr).AddrPort()
	host := address.String()
	if address.Addr().IsUnspecified() {
		host = fmt.Sprintf("localhost:%d", address.Port())
	}
	url := "http://" + host
	b := banner{
		URL:        url,
		Huma:       humaAccess{API: url, ProjectID: cfg.ProjectID, DeploymentID: cfg.DeploymentID, ClientID: cfg.ClientIDs, Secret: cfg.Secret},
		ConfigFile: &configFile{url, cfg.ProjectID, cfg.DeploymentID, cfg.ClientIDs, cfg.Secret},
	}
	if cfg.Edition == config.EditionOldest {
		b.Huma.oldestAccess()
		b.ConfigFile = nil
	}
	for id, secret := range cfg.HumanAPI.Clients {
		b.HumanAPI = humanAPIAccess{url, id, secret} // the default config has one client
	}
	if s.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(b)
	}
	return bannerTemplate.Execute(out, b)
}

// bannerTemplate is the text format of a banner.
var bannerTemplate = template.Must(template.New("").Parse(`Sandbox of Huma and Human API Connect at {{.URL}}
Open this URL in a browser to see the calls.

Options for a Caddyfile, in addition to the options that identify the user:

	huma_token {
		api {{.Huma.API}}
		project_id {{.Huma.ProjectID}}
		deployment_id {{.Huma.DeploymentID}}
{{- range $type, $id := .Huma.ClientID}}
		client_id {{$type}} {{$id}}
{{- end}}
{{- if .Huma.Secret}}
		secret {{.Huma.Secret}}
{{- end}}
{{- range $name, $values := .Huma.HeaderUp}}{{range $values}}
		header_up {{$name}} {{.}}
{{- end}}{{end}}
{{- if .Huma.Signature}}
		signature {{.Huma.Signature.algorithm}}
{{- end}}
{{- with .Huma.SignIn}}
		sign_in {
			path {{.Path}}
{{- range $name, $value := .Body}}
			body {{$name}} {{$value}}
{{- end}}
		}
{{- end}}
{{- with .Huma.SignUp}}
		sign_up {
			path {{.Path}}
{{- range $name, $value := .Body}}
			body {{$name}} {{$value}}
{{- end}}
			omit{{range .Omit}} {{.}}{{end}}
		}
		registration {
			activation_code any-text
		}
{{- end}}
	}
	human_api_token {
		api {{.HumanAPI.API}}
		client_id {{.HumanAPI.ClientID}}
		client_secret {{.HumanAPI.ClientSecret}}
	}
{{with .ConfigFile}}
Content of a huma-config.json, for caddy huma token --config-file:

	{{.}}
{{end}}
To inject a fault:

	curl -X PUT {{.URL}}/_sandbox/faults -d '[{"op":"signup","reset":"after","times":1}]'

Press Ctrl-C to stop the sandbox; all data is lost then.
`))
