package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"text/template"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "huma-sandbox",
		Usage: "[--listen <address>] [--user <address>...] [--json]",
		Short: "Plays Huma and Human API Connect, to try things out",
		Long: `
Plays Huma's API and Human API Connect's, on one address of this machine, with the
credentials that it prints: unknown users are refused, sign-up makes them, and
signatures, headers and bodies are checked. At / there is a page that shows what is
called, and under /_sandbox/ what goes wrong can be set.

Everybody who reaches it can read and change everything in it, so it listens on
loopback addresses alone, unless --allow-remote says otherwise. It ends with Ctrl-C,
and nothing of it is kept.

Exit codes:
  0  it was ended
  1  it could not listen
  2  wrong usage`,
		CobraFunc: configureCommand,
	})
}

// configureCommand makes a command one that plays.
func configureCommand(cmd *cobra.Command) {
	cmd.Example = `  caddy huma-sandbox
  caddy huma-sandbox --listen 127.0.0.1:0 --user alice@clinic.example
  caddy huma-sandbox --json`
	var p standalone
	f := cmd.Flags()
	f.StringVar(&p.listen, "listen", "127.0.0.1:9000", "Where to listen; with port 0 on one that is free")
	f.StringArrayVar(&p.users, "user", nil, "The address of a user whom Huma knows; repeatable")
	f.BoolVar(&p.allowRemote, "allow-remote", false, "Listen on an address that others may reach")
	f.BoolVar(&p.json, "json", false, "Print JSON")
	command.Runs(cmd, p.run)
}

// standalone is one run of the command.
type standalone struct {
	listen            string
	users             []string
	allowRemote, json bool
}

// How long requests may take that are running when it ends, and their headers to
// arrive.
const (
	shutdownTimeout = 2 * time.Second
	headerTimeout   = 10 * time.Second
)

func (p *standalone) run(ctx context.Context, out io.Writer) (int, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := config.Complete(Config{Users: p.users})
	if err != nil {
		return command.Usage, err
	}
	if err := p.checkAddress(); err != nil {
		return command.Usage, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.listen)
	if err != nil {
		return command.Problem, err
	}
	srv := &http.Server{Handler: New(cfg), ReadHeaderTimeout: headerTimeout}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	if err := p.printBanner(out, cfg, l.Addr()); err != nil {
		_ = srv.Close()
		return command.Problem, err
	}
	select {
	case err := <-ended:
		return command.Problem, err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(ending); errors.Is(err, context.DeadlineExceeded) {
		_ = srv.Close()
	}
	return command.OK, nil
}

// checkAddress refuses addresses that others may reach.
func (p *standalone) checkAddress() error {
	host, _, err := net.SplitHostPort(p.listen)
	if err != nil {
		return command.UsageError("--listen: %q is not host:port", p.listen)
	}
	ip, err := netip.ParseAddr(host)
	if p.allowRemote || host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return command.UsageError("--listen: others may reach %q, and whoever reaches the sandbox can read and change everything in it: listen on 127.0.0.1, or write --allow-remote", p.listen)
}

// banner is what there is to know of a sandbox.
type banner struct {
	URL        string         `json:"url"`
	Huma       humaAccess     `json:"huma_token"`
	HumanAPI   humanAPIAccess `json:"human_api_token"`
	ConfigFile configFile     `json:"huma_config"` // a huma-config.json
}

// humaAccess are options of huma_token.
type humaAccess struct {
	API          string            `json:"api"`
	ProjectID    string            `json:"project_id"`
	DeploymentID string            `json:"deployment_id"`
	ClientID     map[string]string `json:"client_id"`
	Secret       string            `json:"secret"`
}

// humanAPIAccess are options of human_api_token.
type humanAPIAccess struct {
	API          string `json:"api"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// configFile are the members of a huma-config.json.
type configFile struct {
	APIURL       string            `json:"apiUrl"`
	ProjectID    string            `json:"projectId"`
	DeploymentID string            `json:"deploymentId"`
	Clients      map[string]string `json:"clients"`
	Secret       string            `json:"secret"`
}

// String is the file in one line, for the text that is printed.
func (m configFile) String() string {
	b, _ := json.Marshal(m) // texts always have a JSON form
	return string(b)
}

// printBanner tells how to use a sandbox that listens.
func (p *standalone) printBanner(out io.Writer, cfg Config, at net.Addr) error {
	address := at.(*net.TCPAddr).AddrPort()
	host := address.String()
	if address.Addr().IsUnspecified() {
		host = fmt.Sprintf("localhost:%d", address.Port())
	}
	url := "http://" + host
	i := banner{
		URL:        url,
		Huma:       humaAccess{url, cfg.ProjectID, cfg.DeploymentID, cfg.ClientIDs, cfg.Secret},
		ConfigFile: configFile{url, cfg.ProjectID, cfg.DeploymentID, cfg.ClientIDs, cfg.Secret},
	}
	for id, secret := range cfg.HumanAPI.Clients {
		i.HumanAPI = humanAPIAccess{url, id, secret} // without a config there is one
	}
	if p.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(i)
	}
	return bannerTemplate.Execute(out, i)
}

var bannerTemplate = template.Must(template.New("").Parse(`Huma and Human API Connect are played at {{.URL}}, where a page shows what is called.

In a Caddyfile, beside who is asking:

	huma_token {
		api {{.Huma.API}}
		project_id {{.Huma.ProjectID}}
		deployment_id {{.Huma.DeploymentID}}
{{- range $type, $id := .Huma.ClientID}}
		client_id {{$type}} {{$id}}
{{- end}}
		secret {{.Huma.Secret}}
	}
	human_api_token {
		api {{.HumanAPI.API}}
		client_id {{.HumanAPI.ClientID}}
		client_secret {{.HumanAPI.ClientSecret}}
	}

As a huma-config.json, for caddy huma token --config-file:

	{{.File}}

What goes wrong can be set:

	curl -X PUT {{.URL}}/_sandbox/faults -d '[{"op":"signup","reset":"after","times":1}]'

Ctrl-C ends it; nothing of it is kept.
`))
