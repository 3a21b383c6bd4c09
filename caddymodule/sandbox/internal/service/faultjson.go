package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// faultJSON is the JSON format of a Fault: its fields, some of them in another form.
type faultJSON struct {
	*fields
	Delay       string                  `json:"delay,omitempty"`
	Body        json.RawMessage         `json:"body,omitempty"`
	Headers     map[string]headerValues `json:"headers,omitempty"`
	AppearAfter string                  `json:"appear_after,omitempty"`
	Drip        string                  `json:"drip,omitempty"`
}

// fields are the fields of a Fault, without its methods.
type fields Fault

// headerValues are the values of a header: in JSON a string or a list of strings.
type headerValues []string

// UnmarshalJSON implements json.Unmarshaler.
func (h *headerValues) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*h = headerValues{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(h))
}

// MarshalJSON implements json.Marshaler, in the format that UnmarshalJSON accepts.
func (f Fault) MarshalJSON() ([]byte, error) {
	w := faultJSON{fields: (*fields)(&f)}
	for _, d := range []struct {
		from time.Duration
		to   *string
	}{{f.Delay, &w.Delay}, {f.AppearAfter, &w.AppearAfter}, {f.Drip, &w.Drip}} {
		if d.from != 0 {
			*d.to = d.from.String()
		}
	}
	if f.Body != "" {
		body, err := json.Marshal(f.Body)
		if err != nil {
			return nil, err
		}
		w.Body = body
	}
	if len(f.Headers) > 0 {
		w.Headers = make(map[string]headerValues, len(f.Headers))
		for name, values := range f.Headers {
			w.Headers[name] = values
		}
	}
	return json.Marshal(w)
}

// UnmarshalJSON implements json.Unmarshaler. Unknown members are an error.
func (f *Fault) UnmarshalJSON(b []byte) error {
	*f = Fault{}
	w := faultJSON{fields: (*fields)(f)}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return err
	}
	for _, d := range []struct {
		name, from string
		to         *time.Duration
	}{{"delay", w.Delay, &f.Delay}, {"appear_after", w.AppearAfter, &f.AppearAfter}, {"drip", w.Drip, &f.Drip}} {
		if d.from == "" {
			continue
		}
		v, err := time.ParseDuration(d.from)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		*d.to = v
	}
	if len(w.Body) > 0 && json.Unmarshal(w.Body, &f.Body) != nil {
		f.Body = string(w.Body)
	}
	for name, values := range w.Headers {
		if f.Headers == nil {
			f.Headers = make(http.Header)
		}
		for _, v := range values {
			f.Headers.Add(name, v)
		}
	}
	return nil
}
