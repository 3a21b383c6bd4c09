package dryrun

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/pflag"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
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
// the member locationKey. Unlike caddycmd.LoadConfig, read writes nothing to the log.
func (s Source) read() ([]byte, []Finding, error) {
	if s.Address != "" {
		if s.File != "" || s.Adapter != "" {
			return nil, nil, command.UsageError("--address cannot be combined with --config or --adapter")
		}
		text, err := readRunning(s.Address)
		return text, nil, err
	}
	if s.File == "" && s.Adapter != "" {
		return nil, nil, command.UsageError("--adapter requires --config")
	}
	text, err := s.readText()
	if err != nil {
		return nil, nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil, errors.New(s.String() + " is empty")
	}
	if s.isJSON(text) {
		if err := json.Unmarshal(text, new(any)); err != nil {
			return nil, nil, fmt.Errorf("%s is not valid JSON: %w; if it is a Caddyfile, set --adapter caddyfile", s.path(), err)
		}
		return text, nil, nil
	}
	return s.adapt(text)
}

// readText returns the text of the config.
func (s Source) readText() ([]byte, error) {
	if s.File == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("read config from the standard input: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(s.path())
	if s.File == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, command.UsageError("no Caddyfile in the current directory; set --config")
	}
	return text, err
}

// path returns the path of the config in messages, "stdin" for the standard input.
func (s Source) path() string {
	if s.File == "-" {
		return "stdin"
	}
	return cmp.Or(s.File, "Caddyfile")
}

// isJSON reports whether no adapter is required for the config. Like Caddy, it decides by
// the name of the file. The standard input is a Caddyfile unless it is valid JSON.
func (s Source) isJSON(text []byte) bool {
	switch name := strings.ToLower(filepath.Base(s.path())); {
	case s.Adapter != "":
		return false
	case s.File == "-":
		return json.Valid(text)
	case filepath.Ext(name) == ".json":
		return true
	default:
		return !strings.HasPrefix(name, "caddyfile") && !strings.HasSuffix(name, ".caddyfile")
	}
}

// adapt returns the config in JSON, with the adapter's warnings.
func (s Source) adapt(text []byte) ([]byte, []Finding, error) {
	name := cmp.Or(s.Adapter, "caddyfile")
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, nil, command.UsageError("--adapter: unknown adapter %q", name)
	}
	var all []Finding
	endpoint.MarkLocations(true)
	defer endpoint.MarkLocations(false)
	defer option.OnLiteral(func(l option.Literal) {
		all = append(all, Finding{l.File, l.Line, l.Option + " is written in plain text, and will be in the JSON config", "use {env.NAME} or {file./path} instead"})
	})()
	adapted, warnings, err := adapter.Adapt(text, map[string]any{"filename": s.path()})
	for _, w := range warnings {
		if strings.Contains(w.Message, "caddy fmt") {
			continue // the format is the subject of caddy fmt and caddy validate
		}
		all = append(all, Finding{w.File, w.Line, strings.TrimPrefix(w.Directive+": "+w.Message, ": "), ""})
	}
	return adapted, all, adaptError(err, s.path(), text)
}

// AdminError is an error of a call to the admin endpoint at Address.
type AdminError struct {
	Address string
	error
}

// Error implements error. Caddy's error has the text of the error of the network after
// those of its layers.
func (e *AdminError) Error() string {
	text := e.error.Error()
	if _, network, found := strings.Cut(text, "/config/\": "); found {
		text = network
	}
	return "read config of the running server at " + e.Address + ": " + text
}

// maxConfig is the maximum size of the config of a running server, in bytes.
const maxConfig = 64 << 20

// readRunning reads the config of a running server from its admin API.
func readRunning(address string) ([]byte, error) {
	response, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/config/", nil, nil)
	if err != nil {
		return nil, &AdminError{address, err}
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

// String returns the source for messages.
func (s Source) String() string {
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

	// Warnings are about the Caddyfile.
	Warnings []Finding

	// HTTP is the JSON config of the HTTP app.
	HTTP map[string]any

	// Storage is the JSON config of the storage. Empty: Caddy's default.
	Storage json.RawMessage

	// Admin is the config of the admin endpoint. Nil: Caddy's default.
	Admin *caddy.AdminConfig
}

// Load reads a config and returns its token directives. It returns an error if there are
// none.
func Load(s Source) (*Config, error) {
	text, warnings, err := s.read()
	if err != nil {
		return nil, err
	}
	var config struct {
		Admin   *caddy.AdminConfig `json:"admin"`
		Storage json.RawMessage    `json:"storage"`
		Apps    struct {
			HTTP map[string]any `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	c := &Config{HTTP: config.Apps.HTTP, Storage: config.Storage, Admin: config.Admin, Warnings: warnings}
	if c.Directives, err = directives(c.HTTP); err != nil {
		return nil, err
	}
	if c.Directives == nil {
		return nil, errors.New(s.String() + " has no " + strings.Join(endpoint.DirectiveNames(), " and no "))
	}
	return c, nil
}
