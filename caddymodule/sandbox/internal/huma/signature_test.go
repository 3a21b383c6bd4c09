package huma

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
)

// TestHMACVectors checks signatures that were computed with OpenSSL from the body below
// and the key "sandbox-secret".
func TestHMACVectors(t *testing.T) {
	const body = `{"clientId":"c1","projectId":"p1","email":"alice@example.com"}`
	tests := []struct {
		algorithm, encoding, payload, want string
	}{
		{config.AlgorithmSHA256, "hex", body, "6902261b16b138d1d075c65913c5a91a8e7fb07cf340026f9ef1896a10579cb8"},
		{config.AlgorithmSHA256, "base64", body, "aQImGxaxONHQdcZZE8WpGo5/sHzzQAJvnvGJahBXnLg="},
		{config.AlgorithmSHA256, "base64url", body, "aQImGxaxONHQdcZZE8WpGo5_sHzzQAJvnvGJahBXnLg"},
		{config.AlgorithmSHA512, "hex", body, "d2ff5c583b8bc0099fe8e53d55a5a4795cf8c1fd9e7fc1be125ea8f867bc79419378ad919eabbc06a42b566a3229204ff3db45c0baf9edf2918d8bfe5ee90df9"},
		{config.AlgorithmSHA512, "base64", "POST " + body, "DsC2wl1zE77ZWU1Bi4SziiVc5YrP+6BDa32JypoULtCi3CSwe4FZbQB1oG7jcaDYcB3N9WM4k0UvRiDeeVpY1g=="},
	}
	for _, test := range tests {
		sig := config.Signature{Algorithm: test.algorithm, Encoding: test.encoding}
		if got := encodeHMAC(sig, "sandbox-secret", test.payload); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.algorithm, test.encoding, got, test.want)
		}
	}
}

func TestHMACModes(t *testing.T) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	const all = "{sig.method} {sig.path} {sig.timestamp} {sig.deployment_id} {sig.body}"
	signed := func(timestamp string) string {
		return "POST " + sandboxtest.SignIn + " " + timestamp + " d1 " + sandboxtest.AliceSignIn
	}
	tests := []struct {
		name      string
		sig       config.Signature
		signed    string
		header    string
		timestamp string
		status    int
	}{
		{"sha512", config.Signature{Algorithm: config.AlgorithmSHA512}, sandboxtest.AliceSignIn, "signature", "", 200},
		{"base64", config.Signature{Encoding: "base64"}, sandboxtest.AliceSignIn, "signature", "", 200},
		{"base64url", config.Signature{Encoding: "base64url"}, sandboxtest.AliceSignIn, "signature", "", 200},
		{"other header", config.Signature{HeaderName: "X-Huma-Signature"}, sandboxtest.AliceSignIn, "X-Huma-Signature", "", 200},
		{"missing in other header", config.Signature{HeaderName: "X-Huma-Signature"}, sandboxtest.AliceSignIn, "signature", "", 400},
		{"template", config.Signature{Payload: all}, signed(now), "signature", now, 200},
		{"template, other timestamp", config.Signature{Payload: all}, signed("1"), "signature", now, 401},
		{"milliseconds", config.Signature{Payload: all}, signed(now + "000"), "signature", now + "000", 200},
		{"no timestamp", config.Signature{Payload: all}, signed(""), "signature", "", 401},
		{"not a time", config.Signature{Payload: all}, signed("now"), "signature", "now", 401},
		{"old", config.Signature{Payload: all}, signed("1700000000"), "signature", "1700000000", 401},
		{"RFC 3339", config.Signature{Payload: all}, signed(time.Now().UTC().Format(time.RFC3339)), "signature", time.Now().UTC().Format(time.RFC3339), 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fake, c := start(t, config.Config{Signature: test.sig})
			fake.Create("alice@example.com", nil)
			r := c.Request(http.MethodPost, sandboxtest.SignIn+"?q=1", sandboxtest.AliceSignIn)
			r.Header.Del("signature")
			r.Header.Set(test.header, encodeHMAC(fake.signature, "sandbox-secret", test.signed))
			if test.timestamp != "" {
				r.Header.Set("X-Timestamp", test.timestamp)
			}
			sandboxtest.Want(t, c.Send(r), test.status, 0)
		})
	}
}

// hawkExampleKey is the key of the example in Hawk's documentation.
const hawkExampleKey = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"

func TestHawkPublishedExample(t *testing.T) {
	hash := hawkPayloadHash("text/plain; charset=utf-8", []byte("Thank you for flying Hawk"))
	if hash != "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=" {
		t.Errorf("hash: %s", hash)
	}
	h, err := parseHawk(`Hawk id="dh37fgj492je", ts="1353832234", nonce="j4h3g2", hash="` + hash + `", ext="some-app-ext-data", mac="aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="`)
	if err != nil {
		t.Fatal(err)
	}
	if got := hawkMAC(hawkExampleKey, hawkRequest{"POST", "/resource/1?b=1&a=2", "example.com", "8000"}, h); got != h.MAC {
		t.Errorf("mac: %s", got)
	}
	// The first example in the documentation has no payload.
	h.Hash = ""
	if got := hawkMAC(hawkExampleKey, hawkRequest{"GET", "/resource/1?b=1&a=2", "example.com", "8000"}, h); got != "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=" {
		t.Errorf("mac without payload: %s", got)
	}
}

func TestHawk(t *testing.T) {
	fake, c := start(t, config.Config{Signature: config.Signature{Algorithm: config.AlgorithmHawk, ID: "dh37fgj492je"}, Secret: hawkExampleKey})
	fake.Create("alice@example.com", nil)
	// All requests have the same timestamp, since a nonce is checked together with it.
	now := time.Now().Unix()
	nonces := 0
	request := func(change func(*hawkHeader)) *http.Request {
		r := c.Request(http.MethodPost, sandboxtest.SignIn+"?a=1", sandboxtest.AliceSignIn)
		r.Header.Set("signature", "-")
		host, port, _ := strings.Cut(r.URL.Host, ":")
		nonces++
		h := hawkHeader{ID: "dh37fgj492je", TS: strconv.FormatInt(now, 10), Nonce: fmt.Sprintf("n%d", nonces), Hash: hawkPayloadHash("application/json", []byte(sandboxtest.AliceSignIn))}
		if change != nil {
			change(&h)
		}
		if h.MAC == "" {
			h.MAC = hawkMAC(hawkExampleKey, hawkRequest{"POST", sandboxtest.SignIn + "?a=1", host, port}, h)
		}
		value := fmt.Sprintf(`Hawk id="%s", ts="%s", nonce="%s", mac="%s"`, h.ID, h.TS, h.Nonce, h.MAC)
		for name, v := range map[string]string{"hash": h.Hash, "ext": h.Ext, "app": h.App, "dlg": h.Dlg} {
			if v != "" {
				value += fmt.Sprintf(`, %s="%s"`, name, v)
			}
		}
		r.Header.Set("Authorization", value)
		return r
	}
	tests := []struct {
		name   string
		change func(*hawkHeader)
		rest   func(*http.Request)
		status int
	}{
		{"plain", nil, nil, 200},
		{"ext, app and dlg", func(h *hawkHeader) { h.Ext, h.App, h.Dlg = "e", "a", "d" }, nil, 200},
		{"scheme in lower case", nil, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Hawk", "hawk", 1))
		}, 200},
		{"duplicate nonce", func(h *hawkHeader) { h.Nonce = "n1" }, nil, 401},
		{"no hash", func(h *hawkHeader) { h.Hash = "" }, nil, 401},
		{"hash of another body", func(h *hawkHeader) { h.Hash = hawkPayloadHash("application/json", []byte("{}")) }, nil, 401},
		{"other id", func(h *hawkHeader) { h.ID = "other" }, nil, 401},
		{"other mac", func(h *hawkHeader) { h.MAC = "AAAA" }, nil, 401},
		{"old", func(h *hawkHeader) { h.TS = strconv.FormatInt(now-120, 10) }, nil, 401},
		{"early", func(h *hawkHeader) { h.TS = strconv.FormatInt(now+120, 10) }, nil, 401},
		{"not a time", func(h *hawkHeader) { h.TS = "now" }, nil, 401},
		{"no Authorization", nil, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"two Authorizations", nil, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, 401},
		{"bearer", nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401},
		{"attribute twice", nil, func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+`, id="dh37fgj492je"`)
		}, 401},
		{"unknown attribute", nil, func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+`, x="1"`) }, 401},
		{"other path", nil, func(r *http.Request) { r.URL.RawQuery = "a=2" }, 401},
		{"no signature header", nil, func(r *http.Request) { r.Header.Del("signature") }, 400},
		{"empty signature header", nil, func(r *http.Request) { r.Header.Set("signature", "") }, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request(test.change)
			if test.rest != nil {
				test.rest(r)
			}
			got := c.Send(r)
			code := 0
			switch test.status {
			case 401:
				code = CodeUnauthorized
			case 400:
				code = CodeInvalidRequest
			}
			sandboxtest.Want(t, got, test.status, code)
		})
	}
}
