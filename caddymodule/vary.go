package caddymodule

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// headerMark is the name of a request header that no client sends. The handler
// sets it on each request to a random value, and names it in Vary (RFC 9110,
// section 12.5.5). The value is another one for each request, because an error
// route may pass it on to an upstream.
//
// A cache may let one of several concurrent requests through and answer the
// others with its response, if they have the same headers of those that Vary
// names. Souin compares them after the first request was handled: requests that
// have not been handled lack this value, so each of them is handled by itself,
// whatever its identity is made of. This protects only as long as the cache keeps
// the headers of a response: Souin 1.7.8 and older lose those of a request whose
// client leaves. So the documentation tells operators to keep such a cache away
// from the endpoint.
const headerMark = "Huma-Request"

// requestHeaderPrefix begins the placeholders of request headers.
const requestHeaderPrefix = "http.request.header."

// varyOf returns the value of Vary for responses that depend on the given
// request headers and on what the option vary names.
func varyOf(headers, placeholders []string) string {
	names := []string{"Authorization", "Cookie"}
	add := func(name string) {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range headers {
		add(name)
	}
	for _, placeholder := range placeholders {
		if name, ok := strings.CutPrefix(placeholder, requestHeaderPrefix); ok {
			add(name)
		}
	}
	slices.Sort(names[2:])
	return strings.Join(append(names, headerMark), ", ")
}

// setVary adds Vary to a response and sets headerMark on its request.
func (e *endpoint) setVary(response http.Header, request http.Header) {
	values := [...]string{e.varyOn, strconv.FormatUint(rand.Uint64(), 36)} // one allocation for both
	request[headerMark] = values[1:2:2]
	switch set := response["Vary"]; {
	case len(set) == 0:
		response["Vary"] = values[0:1:1]
	case !slices.Contains(set, e.varyOn): // another of these handlers may have failed before, and left it to an error route
		response["Vary"] = append(slices.Clip(set), e.varyOn)
	}
}
