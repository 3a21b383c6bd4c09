// Package control implements the control API and the web page of a sandbox, and holds the
// state that they show and change.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	state *State
	mux   *http.ServeMux
}

// New returns a handler for a state.
func New(state *State) *Handler {
	h := &Handler{state, http.NewServeMux()}
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /{$}":               pageFile("page.html"),
		"GET /_sandbox/page.js":  pageFile("page.js"),
		"GET /_sandbox/page.css": pageFile("page.css"),
		"GET /_sandbox/calls":    h.getCalls,
		"GET /_sandbox/users":    h.getUsers,
		"GET /_sandbox/faults":   h.getFaults,
		"PUT /_sandbox/faults":   h.putFaults,
		"POST /_sandbox/connect": h.postConnect,
		"POST /_sandbox/reset":   h.postReset,
	} {
		h.mux.HandleFunc(pattern, handle)
	}
	return h
}

// ServeHTTP serves the control API under /_sandbox/ and the web page at /. The other paths
// are unknown ones of the services.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := strings.HasPrefix(r.URL.Path, "/_sandbox/")
	switch {
	case control && r.Header.Get("Sec-Fetch-Site") == "cross-site":
		// A page of another site in the same browser must not read or change anything.
		// Clients other than browsers do not send this header.
		writeError(w, http.StatusForbidden, huma.CodeForbiddenID, "cross-site requests are not allowed")
	case control || r.URL.Path == "/":
		h.mux.ServeHTTP(w, r)
	default:
		writeError(w, http.StatusNotFound, huma.CodeInvalidRequest, "not found")
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
	faults, err := readFaults(w, r)
	if err == nil {
		err = h.state.Shared.Faults.Set(faults)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, huma.CodeInvalidRequest, err.Error())
		return
	}
	h.getFaults(w, r)
}

// readFaults reads a body that must be one JSON array of faults.
func readFaults(w http.ResponseWriter, r *http.Request) ([]service.Fault, error) {
	var items []json.RawMessage
	if err := decode(w, r, &items); err != nil {
		return nil, err
	}
	if items == nil { // of null, which must not remove all faults
		return nil, errors.New("body must be a JSON array of faults")
	}
	faults := make([]service.Fault, len(items))
	for i, item := range items {
		if string(item) == "null" {
			return nil, fmt.Errorf("fault %d: must not be null", i+1)
		}
		if err := json.Unmarshal(item, &faults[i]); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	return faults, nil
}

// decode decodes a body of at most maxBody bytes that must be one JSON value without
// unknown members.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read body: there is something after the JSON value")
	}
	return nil
}

// postConnect changes a user of Human API.
func (h *Handler) postConnect(w http.ResponseWriter, r *http.Request) {
	var c humanapi.Connection
	err := decode(w, r, &c)
	if err == nil && c.ClientUserID == "" {
		err = errors.New("client_user_id is required")
	}
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

// postReset resets the state.
func (h *Handler) postReset(w http.ResponseWriter, _ *http.Request) {
	h.state.Reset()
	w.WriteHeader(http.StatusNoContent)
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
