package dryrun

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/pflag"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// Source says where a command reads a config from. The zero Source is the Caddyfile in
// the current directory.
type Source struct {
	File    string // path of the config file; "-" is the standard input
	Adapter string // name of the config adapter; empty: from the file name, or from the text on the standard input
	Address string // address of the admin endpoint of a running server, instead of a file
}

// AddFlags adds the flags --config, --adapter and --address, which set s.
func (s *Source) AddFlags(f *pflag.FlagSet) {
	f.StringVarP(&s.File, "config", "c", "", "Configuration file, or - for the standard input (default: the Caddyfile in the current directory)")
	f.StringVarP(&s.Adapter, "adapter", "a", "", "Name of the config adapter (default: derived from the file name)")
	f.StringVar(&s.Address, "address", "", "Address of the admin endpoint of a running server, such as localhost:2019, whose config to read")
}

// read returns the JSON config. A Caddyfile is adapted; each token directive in it has
// the member locationKey.
func (s Source) read() ([]byte, error) {
	endpoint.MarkLocations(true)
	defer endpoint.MarkLocations(false)
	switch {
	case s.Address != "" && (s.File != "" || s.Adapter != ""):
		return nil, command.UsageError("--address cannot be combined with --config or --adapter")
	case s.Address != "":
		return readRunning(s.Address)
	case s.File == "-" && s.Adapter == "":
		return readStdin(os.Stdin)
	}
	text, _, _, err := caddycmd.LoadConfig(s.File, s.Adapter)
	if err != nil {
		return nil, cmp.Or(readError(s.File), err)
	}
	if text == nil {
		return nil, command.UsageError("no Caddyfile in the current directory; set --config")
	}
	return text, nil
}

// readStdin reads a config in JSON, or else a Caddyfile.
func readStdin(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read config from the standard input: %w", err)
	}
	if json.Valid(text) {
		return text, nil
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "stdin"})
	return adapted, err
}

// maxConfig is the maximum size of the config of a running server, in bytes.
const maxConfig = 64 << 20

// readRunning reads the config of a running server from its admin API.
func readRunning(address string) ([]byte, error) {
	response, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/config/", nil, nil)
	if err != nil {
		return nil, fmt.Errorf("read config of the running server: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxConfig))
	if err != nil {
		return nil, fmt.Errorf("read config of the running server: %w", err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 || string(text) == "null" {
		return nil, fmt.Errorf("the server at %s has no config", address)
	}
	return text, nil
}

// describe returns the source as text.
func (s Source) describe() string {
	switch {
	case s.Address != "":
		return "the config of the server at " + s.Address
	case s.File == "-":
		return "the config on the standard input"
	}
	return cmp.Or(s.File, "the Caddyfile")
}

// Config is the config of a server, as the commands load it.
type Config struct {
	// Directives are the token directives, in the order of routes.Walk.
	Directives []Directive

	// HTTP is the JSON config of the HTTP app.
	HTTP map[string]any

	// Storage is the JSON config of the storage. Empty: Caddy's default.
	Storage json.RawMessage
}

// Load reads a config and returns its token directives. It returns an error if there are
// none.
func Load(s Source) (*Config, error) {
	text, err := s.read()
	if err != nil {
		return nil, err
	}
	var config struct {
		Storage json.RawMessage `json:"storage"`
		Apps    struct {
			HTTP map[string]any `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	c := &Config{HTTP: config.Apps.HTTP, Storage: config.Storage}
	if c.Directives, err = directives(c.HTTP); err != nil {
		return nil, err
	}
	if c.Directives == nil {
		return nil, errors.New(s.describe() + " has no " + strings.Join(endpoint.DirectiveNames(), " and no "))
	}
	return c, nil
}

// readError returns the error of reading file, or nil if the file can be read. It is an
// *fs.PathError, whose kind Caddy's own error does not have.
func readError(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	info, err := os.Stat(file)
	if err == nil && (info.Mode().IsRegular() || info.IsDir()) { // a pipe can be read only once
		_, err = os.ReadFile(file)
	}
	return err
}
