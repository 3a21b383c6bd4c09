package huma

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// signed returns the value of the only header that s signs r with.
func signed(t *testing.T, s Signer, r Request) string {
	t.Helper()
	headers := s.Sign(r)
	if len(headers) != 1 {
		t.Fatalf("%d headers", len(headers))
	}
	return headers[0].Value.Reveal()
}

func newSigner(t *testing.T, cfg SignatureConfig) Signer {
	t.Helper()
	s, err := NewSigner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEncodings uses test case 1 of RFC 4231, in each encoding.
func TestEncodings(t *testing.T) {
	const sha256 = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
	for _, test := range []struct{ algorithm, encoding, want string }{
		{"", "", sha256},
		{"hmac-sha256", "hex", sha256},
		{"", "base64", "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c="},
		{"", "base64url", "sDRMYdjbOFNcqK_OrwvxK4gdwgDJgz2nJuk3bC4yz_c"},
		{"hmac-sha512", "", "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
	} {
		s := newSigner(t, SignatureConfig{Algorithm: test.algorithm, Encoding: test.encoding, Secret: masked.New(strings.Repeat("\x0b", 20))})
		if got := signed(t, s, Request{Body: []byte("Hi There")}); got != test.want {
			t.Errorf("%q %q: got %s, want %s", test.algorithm, test.encoding, got, test.want)
		}
	}
}

func TestPayload(t *testing.T) {
	u, _ := url.Parse("https://h.example/base%2F1/signin?q=1")
	r := Request{
		Method: "POST", URL: u, Body: []byte(`{"a":"{sig.timestamp}"}`), DeploymentID: "{sig.body}",
		Time: time.Unix(1700000000, 999999999),
	}
	for payload, want := range map[string]string{
		"":           `{"a":"{sig.timestamp}"}`,
		"{sig.body}": `{"a":"{sig.timestamp}"}`,
		"{sig.method}\n{sig.path}\n{sig.timestamp}\n{sig.deployment_id}\n{sig.body}": "POST\n/base%2F1/signin\n1700000000\n{sig.body}\n" + `{"a":"{sig.timestamp}"}`,
		"{{sig.method}}{x}": "{POST}{x}",
		"v1":                "v1",
	} {
		s := newSigner(t, SignatureConfig{Payload: payload, Secret: masked.New("k")})
		if got := signed(t, s, r); got != sha256Hex("k", want) {
			t.Errorf("%q: not signed over %q", payload, want)
		}
	}
}

func TestNewSignerErrors(t *testing.T) {
	secret := masked.New(canarySecret)
	tests := []struct {
		name string
		cfg  SignatureConfig
		want []string
	}{
		{"no secret", SignatureConfig{}, []string{"secret: is required"}},
		{"hawk without anything", SignatureConfig{Algorithm: "hawk"}, []string{"secret: is required", "id: is required for hawk"}},
		{"algorithm", SignatureConfig{Algorithm: "md5", Secret: secret},
			[]string{`signature: unknown algorithm "md5": must be hmac-sha256, hmac-sha512, hawk or off`}},
		{"encoding", SignatureConfig{Encoding: "HEX", Secret: secret},
			[]string{`encoding: unknown encoding "HEX": must be hex, base64 or base64url`}},
		{"placeholders", SignatureConfig{Payload: "{sig.nonce}{sig.body}{sig.x", Secret: secret}, []string{
			"payload: unknown placeholder {sig.nonce}: must be body, method, path, timestamp or deployment_id",
			"payload: a placeholder has no closing brace",
		}},
		{"blank payload", SignatureConfig{Payload: " ", Secret: secret}, []string{"payload: must not be empty"}},
		{"header name", SignatureConfig{HeaderName: "a b", Secret: secret}, []string{`header_name: "a b" is not a valid header name`}},
		{"a header of ours", SignatureConfig{HeaderName: "content-type", Secret: secret}, []string{"header_name: the header content-type cannot be set"}},
		{"deployment id", SignatureConfig{HeaderName: "deploymentId", Secret: secret}, []string{"header_name: the header deploymentId cannot be set"}},
		{"hawk's header", SignatureConfig{Algorithm: "hawk", ID: "i", HeaderName: "authorization", Secret: secret},
			[]string{"header_name: cannot be authorization with hawk, which uses this header itself"}},
		{"id", SignatureConfig{ID: "i", Secret: secret}, []string{"id: cannot be combined with hmac-sha256"}},
		{"hawk's id", SignatureConfig{Algorithm: "hawk", ID: `a"b`, Secret: secret},
			[]string{"id: must be printable ASCII without quotes and backslashes for hawk"}},
		{"hawk with hmac's", SignatureConfig{Algorithm: "hawk", ID: "i", Encoding: "hex", Payload: "x", Secret: secret},
			[]string{"encoding: cannot be combined with hawk", "payload: cannot be combined with hawk"}},
		{"off with all", SignatureConfig{Algorithm: "off", ID: "i", Encoding: "hex", Payload: "x"},
			[]string{"encoding: cannot be combined with off", "payload: cannot be combined with off", "id: cannot be combined with off"}},
		{"all at once", SignatureConfig{Encoding: "x", Payload: "{sig.}", HeaderName: ":", ID: "i"}, []string{
			`header_name: ":" is not a valid header name`,
			"secret: is required",
			"id: cannot be combined with hmac-sha256",
			`encoding: unknown encoding "x": must be hex, base64 or base64url`,
			"payload: unknown placeholder {sig.}: must be body, method, path, timestamp or deployment_id",
		}},
		{"off", SignatureConfig{Algorithm: "off"}, nil},
		{"off with a secret", SignatureConfig{Algorithm: "off", Secret: secret}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := NewSigner(test.cfg)
			got := ""
			if err != nil {
				got = err.Error()
				if s != nil {
					t.Error("a signer with an error")
				}
			}
			if want := strings.Join(test.want, "\n"); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
			testutil.NoSecrets(t, err, canaries...)
		})
	}
}

// TestHawkVectors uses the examples of Hawk's README.
func TestHawkVectors(t *testing.T) {
	u, _ := url.Parse("http://example.com:8000/resource/1?b=1&a=2")
	secret := masked.New("werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn")
	get := hawkArtifacts{
		ts: "1353832234", nonce: "j4h3g2", method: "GET", url: u, ext: "some-app-ext-data",
	}
	if got := get.mac(secret); got != "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=" {
		t.Errorf("GET: %s", got)
	}
	post := get
	post.method = "POST"
	post.hash = hawkHash("Text/Plain; charset=utf-8", []byte("Thank you for flying Hawk"))
	if post.hash != "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=" {
		t.Errorf("hash: %s", post.hash)
	}
	if got := post.mac(secret); got != "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=" {
		t.Errorf("POST: %s", got)
	}
}

func TestHawkPorts(t *testing.T) {
	mac := func(address string) string {
		u, _ := url.Parse(address)
		return hawkArtifacts{ts: "1", nonce: "n", method: "POST", url: u}.mac(masked.New("k"))
	}
	if mac("https://h.example/a") != mac("https://H.EXAMPLE:443/a") || mac("http://h.example/a") != mac("http://h.example:80/a") {
		t.Error("a default port or the host's case counts")
	}
	if mac("https://h.example/a") == mac("http://h.example/a") {
		t.Error("both schemes have one port")
	}
}

func TestHawkHeaders(t *testing.T) {
	u, _ := url.Parse("https://h.example/signin")
	s := newSigner(t, SignatureConfig{Algorithm: "hawk", ID: "id1", Secret: masked.New("k")})
	r := Request{Method: "POST", URL: u, ContentType: "application/json", Body: []byte("{}"), Time: time.Unix(1700000000, 0)}
	form := regexp.MustCompile(`^Hawk id="id1", ts="1700000000", nonce="([A-Za-z0-9]{16,})", hash="([^"]+)", mac="([^"]+)"$`)
	nonces := map[string]bool{}
	for range 10 {
		headers := s.Sign(r)
		if len(headers) != 2 || headers[0].Name != "Authorization" || headers[1].Name != "signature" {
			t.Fatalf("%v", headers)
		}
		m := form.FindStringSubmatch(headers[0].Value.Reveal())
		if m == nil {
			t.Fatal(headers[0].Value.Reveal())
		}
		want := hawkArtifacts{ts: "1700000000", nonce: m[1], method: "POST", url: u, hash: hawkHash(r.ContentType, r.Body)}
		if m[2] != want.hash || m[3] != want.mac(masked.New("k")) || headers[1].Value.Reveal() != m[3] {
			t.Errorf("%v", m)
		}
		if mac, err := base64.StdEncoding.DecodeString(m[3]); err != nil || len(mac) != 32 {
			t.Error(err)
		}
		nonces[m[1]] = true
	}
	if len(nonces) != 10 {
		t.Error("a nonce came twice")
	}
}
