package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxControlBody is the longest body the control API reads.
const maxControlBody = 1 << 20

// endpoint is one of the control API, with its methods.
type endpoint map[string]func(*Server, http.ResponseWriter, *http.Request)

var controls = map[string]endpoint{
	"calls":    {http.MethodGet: (*Server).getCalls},
	"users":    {http.MethodGet: (*Server).getUsers},
	"faults":   {http.MethodGet: (*Server).getFaults, http.MethodPut: (*Server).putFaults},
	"connect":  {http.MethodPost: (*Server).postConnect},
	"reset":    {http.MethodPost: (*Server).postReset},
	"page.js":  {http.MethodGet: pageFile("page.js")},
	"page.css": {http.MethodGet: pageFile("page.css")},
}

// serveControl serves what is under /_sandbox/. It is false if there is no
// such thing.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, name string) bool {
	e, found := controls[name]
	if !found {
		return false
	}
	// Another site's page in the same browser must not read or change
	// anything. Clients that are no browsers send no such header.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		writeError(w, http.StatusForbidden, codeForbiddenID, "not for other sites")
		return true
	}
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
		if e[m] != nil {
			methods = append(methods, m)
		}
	}
	if allow(w, r, methods...) {
		e[r.Method](s, w, r)
	}
	return true
}

func (s *Server) getCalls(w http.ResponseWriter, r *http.Request) {
	if limit, ok := readLimit(w, r); ok {
		writeJSON(w, http.StatusOK, s.state.calls.report(limit))
	}
}

func (s *Server) getUsers(w http.ResponseWriter, r *http.Request) {
	if limit, ok := readLimit(w, r); ok {
		writeJSON(w, http.StatusOK, map[string]any{
			"users":      s.state.list(limit),
			"humanUsers": s.state.listHuman(limit),
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
		writeError(w, http.StatusBadRequest, codeInvalidRequest, "limit: not a number above 0")
		return 0, false
	}
	return limit, true
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Faults())
}

func (s *Server) putFaults(w http.ResponseWriter, r *http.Request) {
	faults, err := readFaults(r.Body)
	if err == nil {
		err = s.SetFaults(faults)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, codeInvalidRequest, err.Error())
		return
	}
	s.getFaults(w, r)
}

func readControlBody(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxControlBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(text) > maxControlBody {
		return nil, fmt.Errorf("the body is longer than %d bytes", maxControlBody)
	}
	return text, nil
}

// readFaults reads a JSON list of faults and nothing after it.
func readFaults(body io.Reader) ([]Fault, error) {
	text, err := readControlBody(body)
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
	faults := make([]Fault, len(items))
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

func (s *Server) postConnect(w http.ResponseWriter, r *http.Request) {
	c, err := readConnection(r.Body)
	if err != nil {
		writeError(w, http.StatusBadRequest, codeInvalidRequest, err.Error())
		return
	}
	user, err := s.Connect(c)
	switch {
	case errors.Is(err, ErrNoSuchUser):
		writeError(w, http.StatusNotFound, codeInvalidRequest, err.Error())
	case err != nil:
		writeError(w, http.StatusConflict, codeInvalidRequest, err.Error())
	default:
		writeJSON(w, http.StatusOK, user)
	}
}

// readConnection reads one JSON object and nothing after it.
func readConnection(body io.Reader) (Connection, error) {
	text, err := readControlBody(body)
	if err != nil {
		return Connection{}, err
	}
	if _, err := parseObject(text); err != nil {
		return Connection{}, fmt.Errorf("read body: %w", err)
	}
	var c Connection
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Connection{}, fmt.Errorf("read body: %w", err)
	}
	if c.ClientUserID == "" {
		return Connection{}, errors.New("client_user_id: missing or empty")
	}
	return c, nil
}

func (s *Server) postReset(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	w.WriteHeader(http.StatusNoContent)
}
