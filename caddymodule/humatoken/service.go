package humatoken

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/apiurl"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// humaService holds the address of Huma's API and the credentials for it.
type humaService struct {
	api                     *url.URL
	projectID, deploymentID string
	clientIDs               map[login.ClientType]string
	oneClientID             bool // the same client id serves every client type
	secret                  masked.String
}

// noDeployment is the value of the option deployment_id for an API without deployments.
const noDeployment = "off"

// readService reads each value from its option, or from the config file if the option
// is not set.
func (h *HumaToken) readService(p *option.Errors) humaService {
	var file huma.FileValues
	fileRead := false
	if path := p.Text("config_file", h.ConfigFile); path != "" {
		var err error
		file, err = huma.ReadConfigFile(path, h.setOptions()...)
		p.Add("config_file", err)
		fileRead = err == nil
	}
	missing := func(option string) {
		switch {
		case fileRead:
			p.Addf(option, "is required: set it here or in config_file; members found in the file: %s", strings.Join(file.Members, ", "))
		case h.ConfigFile == "":
			p.Addf(option, "is required: set it here or in config_file")
		}
	}
	pick := func(option, value, fromFile string) string {
		v := p.Text(option, value)
		if value == "" {
			v = fromFile
		}
		if value == "" && fromFile == "" {
			missing(option)
		}
		return v
	}

	v := humaService{
		projectID:    pick("project_id", h.ProjectID, file.ProjectID),
		deploymentID: pick("deployment_id", h.DeploymentID, file.DeploymentID),
		secret:       p.Secret("secret", h.Secret),
	}
	if h.DeploymentID != "" && v.deploymentID == noDeployment {
		v.deploymentID = ""
	}
	if raw := pick("api", h.API, file.API); raw != "" {
		var err error
		v.api, err = apiurl.Parse(raw)
		p.Add("api", err)
	}
	if err := (huma.Header{Name: "deploymentId", Value: masked.New(v.deploymentID)}).Check(); err != nil {
		p.Addf("deployment_id", "must be a valid HTTP header value, without control characters and {sig.*} placeholders")
	}
	if h.Secret == "" {
		v.secret = masked.New(strings.TrimRight(file.Secret.Reveal(), "\r\n"))
	}
	if v.secret.IsZero() && h.Secret == "" && !h.signatureOff() {
		missing("secret")
	}
	v.readClientIDs(p, h.ClientID, file, missing)
	v.checkClientType(p, h.ClientType)
	return v
}

// setOptions returns the names of the values that are not read from the config file,
// because their options are set.
func (h *HumaToken) setOptions() (set []string) {
	for option, isSet := range map[string]bool{
		"api": h.API != "", "project_id": h.ProjectID != "", "deployment_id": h.DeploymentID != "",
		"client_id": len(h.ClientID) > 0, "secret": h.Secret != "" || h.signatureOff(),
	} {
		if isSet {
			set = append(set, option)
		}
	}
	return set
}

// signatureOff reports whether calls are not signed. No secret is required then.
func (h *HumaToken) signatureOff() bool {
	if h.Signature == nil {
		return false
	}
	algorithm, err := option.Expand(h.Signature.Algorithm)
	return err == nil && algorithm == "off"
}

// readClientIDs sets v.clientIDs from the option, or from the config file if the option
// is not set.
func (v *humaService) readClientIDs(p *option.Errors, ids ClientIDs, file huma.FileValues, missing func(option string)) {
	v.clientIDs = make(map[login.ClientType]string)
	one := file.ClientID
	for clientType, id := range ids {
		id, err := option.Expand(id)
		if err == nil && id == "" {
			err = errors.New("must not be empty")
		}
		p.Add("client_id", err)
		switch {
		case clientType == allTypes:
			one = id
		case slices.Contains(clienttype.All, clientType):
			v.clientIDs[login.ClientType(clientType)] = id
		default:
			p.Addf("client_id", "unknown client type '%s': must be %s%s", clientType, strings.Join(clienttype.All, " or "), suggest.DidYouMean(clientType, clienttype.All))
		}
	}
	if _, all := ids[allTypes]; all && len(ids) > 1 {
		p.Addf("client_id", "takes one id for all client types, or one id per client type, not both")
	}
	if len(ids) == 0 {
		maps.Copy(v.clientIDs, file.ClientIDs)
	}
	if len(v.clientIDs) > 0 {
		return
	}
	if one == "" {
		if len(ids) == 0 {
			missing("client_id")
		}
		return
	}
	v.oneClientID = true
	for _, clientType := range clienttype.All {
		v.clientIDs[login.ClientType(clientType)] = one
	}
}

// checkClientType reports an error if the option client_type is unknown or has no client
// id.
func (v *humaService) checkClientType(p *option.Errors, clientType string) {
	switch {
	case clientType == "":
	case !slices.Contains(clienttype.All, clientType):
		p.Addf("client_type", "must be %s, not '%s'%s", strings.Join(clienttype.All, " or "), clientType, suggest.DidYouMean(clientType, clienttype.All))
	case len(v.clientIDs) > 0 && v.clientIDs[login.ClientType(clientType)] == "":
		p.Addf("client_type", "no client_id is set for the client type %s", clientType)
	}
}

// defaultClientType returns the client type of requests without a client type: the
// configured one, or the only one that has a client id. It returns "" if requests must
// have a client type.
func (v *humaService) defaultClientType(configured login.ClientType) login.ClientType {
	switch {
	case configured != "":
		return configured
	case v.oneClientID:
		return login.Web // any: all client types have the same client id
	case len(v.clientIDs) == 1:
		for clientType := range v.clientIDs {
			return clientType
		}
	}
	return ""
}

// readHeaderUp returns the additional headers of the calls, sorted by name.
func (h *HumaToken) readHeaderUp(p *option.Errors, sig huma.SignatureConfig) []huma.Header {
	reserved := map[string]bool{"Deploymentid": true} // set on every call
	if sig.Algorithm != "off" {
		reserved[http.CanonicalHeaderKey(cmp.Or(sig.HeaderName, "signature"))] = true
	}
	if sig.Algorithm == "hawk" {
		reserved["Authorization"] = true
	}

	var headers []huma.Header
	for name, values := range h.HeaderUp {
		if reserved[http.CanonicalHeaderKey(name)] {
			p.Addf("header_up", "must not contain '%s': the directive sets this header", name)
		}
		for _, value := range values {
			header := huma.Header{Name: name, Value: p.Secret("header_up", value)}
			p.Add("header_up", header.Check())
			headers = append(headers, header)
		}
	}
	sort.SliceStable(headers, func(i, j int) bool { return headers[i].Name < headers[j].Name })
	return headers
}

// readTLS reads the files of the option tls.
func (h *HumaToken) readTLS(p *option.Errors) account.TLSFiles {
	if h.TLS == nil {
		return account.TLSFiles{}
	}
	read := func(option, path string) []byte {
		path = p.Text(option, path)
		if path == "" {
			return nil
		}
		b, err := textfile.Read(path)
		if err != nil {
			p.Add(option, err)
			return nil
		}
		return b
	}
	if (h.TLS.ClientCertificate == "") != (h.TLS.ClientKey == "") {
		p.Addf("client_certificate", "requires both a certificate and a key")
	}
	return account.TLSFiles{
		CA:          read("ca", h.TLS.CA),
		Certificate: read("client_certificate", h.TLS.ClientCertificate),
		Key:         read("client_certificate", h.TLS.ClientKey),
	}
}
