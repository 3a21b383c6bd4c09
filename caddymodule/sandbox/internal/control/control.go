// Package control is what stands beside the services that are played: the
// state that can be seen and changed, the control API for it, and the page.
package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// maxBody is the longest body of a request that is read.
const maxBody = 1 << 20

// Handler serves the control API and the page.
type Handler struct {
	state     *State
	endpoints map[string]endpoint
}

// endpoint is one of the control API, with its methods.
type endpoint map[string]http.HandlerFunc

// New makes a handler for a state.
func New(state *State) *Handler {
	h := &Handler{state: state}
	h.endpoints = map[string]endpoint{
		"calls":    {http.MethodGet: h.getCalls},
		"users":    {http.MethodGet: h.getUsers},
		"faults":   {http.MethodGet: h.getFaults, http.MethodPut: h.putFaults},
		"connect":  {http.MethodPost: h.postConnect},
		"reset":    {http.MethodPost: h.postReset},
		"page.js":  {http.MethodGet: pageFile("page.js")},
		"page.css": {http.MethodGet: pageFile("page.css")},
	}
	return h
}

// ServeHTTP serves what is under /_sandbox/, and the page at /.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e endpoint
	if name, found := strings.CutPrefix(r.URL.Path, "/_sandbox/"); found {
		e = h.endpoints[name]
	}
	switch {
	case e != nil:
		e.serve(w, r)
	case r.URL.Path != "/":
		writeError(w, http.StatusNotFound, huma.CodeInvalidRequest, "there is nothing here")
	case allowMethods(w, r, http.MethodGet, http.MethodHead):
		servePage(w, "page.html")
	}
}

func (e endpoint) serve(w http.ResponseWriter, r *http.Request) {
	// Another site's page in the same browser must not read or change
	// anything. Clients that are no browsers send no such header.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		writeError(w, http.StatusForbidden, huma.CodeForbiddenID, "not for other sites")
		return
	}
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
		if e[m] != nil {
			methods = append(methods, m)
		}
	}
	if allowMethods(w, r, methods...) {
		e[r.Method](w, r)
	}
}

func (h *Handler) getCalls(w http.ResponseWriter, r *http.Request) {
	if limit, ok := readLimit(w, r); ok {
		writeJSON(w, http.StatusOK, h.state.Shared.Calls.Report(limit))
	}
}

func (h *Handler) getUsers(w http.ResponseWriter, r *http.Request) {
	if limit, ok := readLimit(w, r); ok {
		writeJSON(w, http.StatusOK, map[string]any{
			"users":      h.state.Huma.List(limit),
			"humanUsers": h.state.HumanAPI.List(limit),
		})
	}
}

// readLimit reads ?limit=n; without it everything is wanted.
func readLimit(w http.ResponseWriter, r *http.Request) (int, bool) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return 0, true
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 {
		writeError(w, http.StatusBadRequest, huma.CodeInvalidRequest, "limit: not a number above 0")
		return 0, false
	}
	return limit, true
}

func (h *Handler) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.state.Shared.Faults.List())
}

func (h *Handler) putFaults(w http.ResponseWriter, r *http.Request) {
	faults, err := readFaults(r.Body)
	if err == nil {
		err = h.state.Shared.Faults.Set(faults)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, huma.CodeInvalidRequest, err.Error())
		return
	}
	h.getFaults(w, r)
}

func readBody(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(text) > maxBody {
		return nil, fmt.Errorf("the body is longer than %d bytes", maxBody)
	}
	return text, nil
}

// readFaults reads a JSON list of faults and nothing after it.
func readFaults(body io.Reader) ([]service.Fault, error) {
	text, err := readBody(body)
	if err != nil {
		return nil, err
	}
	// null would decode to an empty list, and clear all faults by mistake.
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		return nil, errors.New("the body has to be a JSON list of faults")
	}
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	faults := make([]service.Fault, len(items))
	for i, item := range items {
		if bytes.Equal(item, []byte("null")) {
			return nil, fmt.Errorf("fault %d: null", i+1)
		}
		if err := json.Unmarshal(item, &faults[i]); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	return faults, nil
}

func (h *Handler) postConnect(w http.ResponseWriter, r *http.Request) {
	c, err := readConnection(r.Body)
	if err != nil {
		writeError(w, http.StatusBadRequest, huma.CodeInvalidRequest, err.Error())
		return
	}
	user, err := h.state.HumanAPI.Connect(c)
	switch {
	case errors.Is(err, humanapi.ErrNoSuchUser):
		writeError(w, http.StatusNotFound, huma.CodeInvalidRequest, err.Error())
	case err != nil:
		writeError(w, http.StatusConflict, huma.CodeInvalidRequest, err.Error())
	default:
		writeJSON(w, http.StatusOK, user)
	}
}

// readConnection reads one JSON object and nothing after it.
func readConnection(body io.Reader) (humanapi.Connection, error) {
	text, err := readBody(body)
	if err != nil {
		return humanapi.Connection{}, err
	}
	if _, err := service.ParseObject(text); err != nil {
		return humanapi.Connection{}, fmt.Errorf("read body: %w", err)
	}
	var c humanapi.Connection
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return humanapi.Connection{}, fmt.Errorf("read body: %w", err)
	}
	if c.ClientUserID == "" {
		return humanapi.Connection{}, errors.New("client_user_id: missing or empty")
	}
	return c, nil
}

func (h *Handler) postReset(w http.ResponseWriter, _ *http.Request) {
	h.state.Reset()
	w.WriteHeader(http.StatusNoContent)
}

// allowMethods responds with 405 unless the request's method is one of those given.
func allowMethods(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeError(w, http.StatusMethodNotAllowed, huma.CodeInvalidRequest, "method not allowed")
	return false
}

func writeError(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, map[string]any{"code": code, "message": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has left, if anything
}
