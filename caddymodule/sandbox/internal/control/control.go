// Package control implements the control API and the web page of a sandbox, and holds the
// state that they show and change.
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

// maxBody is the maximum size of a request body, in bytes.
const maxBody = 1 << 20

// Handler serves the control API and the web page. Create it with New.
type Handler struct {
	state     *State
	endpoints map[string]endpoint
}

// endpoint holds the handlers of one path of the control API by HTTP method.
type endpoint map[string]http.HandlerFunc

// New returns a handler for a state.
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

// ServeHTTP serves the control API under /_sandbox/ and the web page at /.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e endpoint
	if name, found := strings.CutPrefix(r.URL.Path, "/_sandbox/"); found {
		e = h.endpoints[name]
	}
	switch {
	case e != nil:
		e.serve(w, r)
	case r.URL.Path != "/":
		writeError(w, http.StatusNotFound, huma.CodeInvalidRequest, "not found")
	case allowMethods(w, r, http.MethodGet, http.MethodHead):
		servePage(w, "page.html")
	}
}

// serve calls the handler of the request's method. It rejects cross-site requests.
func (e endpoint) serve(w http.ResponseWriter, r *http.Request) {
	// A page of another site in the same browser must not read or change anything.
	// Clients other than browsers do not send this header.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		writeError(w, http.StatusForbidden, huma.CodeForbiddenID, "cross-site requests are not allowed")
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

// getCalls responds with the log of the calls.
func (h *Handler) getCalls(w http.ResponseWriter, r *http.Request) {
	if limit, ok := readLimit(w, r); ok {
		writeJSON(w, http.StatusOK, h.state.Shared.Calls.Report(limit))
	}
}

// getUsers responds with the users of both services.
func (h *Handler) getUsers(w http.ResponseWriter, r *http.Request) {
	if limit, ok := readLimit(w, r); ok {
		writeJSON(w, http.StatusOK, map[string]any{
			"users":      h.state.Huma.List(limit),
			"humanUsers": h.state.HumanAPI.List(limit),
		})
	}
}

// readLimit returns the query parameter limit, or 0 if there is none. If it is invalid,
// readLimit responds with 400 and returns false.
func readLimit(w http.ResponseWriter, r *http.Request) (int, bool) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return 0, true
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 {
		writeError(w, http.StatusBadRequest, huma.CodeInvalidRequest, "limit must be a positive integer")
		return 0, false
	}
	return limit, true
}

// getFaults responds with the remaining faults.
func (h *Handler) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.state.Shared.Faults.List())
}

// putFaults replaces all faults.
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

// readBody reads a request body of at most maxBody bytes.
func readBody(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(text) > maxBody {
		return nil, fmt.Errorf("body is longer than %d bytes", maxBody)
	}
	return text, nil
}

// readFaults reads a body that must be one JSON array of faults.
func readFaults(body io.Reader) ([]service.Fault, error) {
	text, err := readBody(body)
	if err != nil {
		return nil, err
	}
	// null would decode to an empty list and remove all faults.
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		return nil, errors.New("body must be a JSON array of faults")
	}
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	faults := make([]service.Fault, len(items))
	for i, item := range items {
		if bytes.Equal(item, []byte("null")) {
			return nil, fmt.Errorf("fault %d: must not be null", i+1)
		}
		if err := json.Unmarshal(item, &faults[i]); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	return faults, nil
}

// postConnect changes a user of Human API.
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

// readConnection reads a body that must be one JSON object.
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
		return humanapi.Connection{}, errors.New("client_user_id is required")
	}
	return c, nil
}

// postReset resets the state.
func (h *Handler) postReset(w http.ResponseWriter, _ *http.Request) {
	h.state.Reset()
	w.WriteHeader(http.StatusNoContent)
}

// allowMethods reports whether the request has one of the given methods. If not, it
// responds with 405.
func allowMethods(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeError(w, http.StatusMethodNotAllowed, huma.CodeInvalidRequest, "method not allowed")
	return false
}

// writeError responds with an error in the format of Huma.
func writeError(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, map[string]any{"code": code, "message": message})
}

// writeJSON responds with v as JSON.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the client has disconnected
}
