package huma

import (
	"encoding/base64"
	"encoding/hex"
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

// TestRFC4231 uses test cases 1 to 4, 6 and 7 of RFC 4231.
func TestRFC4231(t *testing.T) {
	long := strings.Repeat("aa", 131)
	tests := []struct{ key, data, sha256, sha512 string }{
		{
			strings.Repeat("0b", 20), hex.EncodeToString([]byte("Hi There")),
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
			"87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
		}, {
			hex.EncodeToString([]byte("Jefe")), hex.EncodeToString([]byte("what do ya want for nothing?")),
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
			"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
		}, {
			strings.Repeat("aa", 20), strings.Repeat("dd", 50),
			"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
			"fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
		}, {
			"0102030405060708090a0b0c0d0e0f10111213141516171819", strings.Repeat("cd", 50),
			"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
			"b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
		}, {
			long, hex.EncodeToString([]byte("Test Using Larger Than Block-Size Key - Hash Key First")),
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
			"80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
		}, {
			long, hex.EncodeToString([]byte("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.")),
			"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
			"e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
		},
	}
	for i, test := range tests {
		key, _ := hex.DecodeString(test.key)
		data, _ := hex.DecodeString(test.data)
		for algorithm, want := range map[string]string{"": test.sha256, "hmac-sha256": test.sha256, "hmac-sha512": test.sha512} {
			s := newSigner(t, SignatureConfig{Algorithm: algorithm, Secret: masked.New(string(key))})
			if got := signed(t, s, Request{Body: data}); got != want {
				t.Errorf("%d %s: got %s", i, algorithm, got)
			}
		}
	}
}

func TestEncodings(t *testing.T) {
	// Test case 1 of RFC 4231, in each encoding.
	raw, _ := hex.DecodeString("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
	for encoding, want := range map[string]string{
		"":          hex.EncodeToString(raw),
		"hex":       hex.EncodeToString(raw),
		"base64":    "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=",
		"base64url": "sDRMYdjbOFNcqK_OrwvxK4gdwgDJgz2nJuk3bC4yz_c",
	} {
		s := newSigner(t, SignatureConfig{Encoding: encoding, Secret: masked.New(strings.Repeat("\x0b", 20))})
		if got := signed(t, s, Request{Body: []byte("Hi There")}); got != want {
			t.Errorf("%q: got %s, want %s", encoding, got, want)
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

func TestHeaderName(t *testing.T) {
	s := newSigner(t, SignatureConfig{HeaderName: "X-sIg", Secret: masked.New("k")})
	if got := s.Sign(Request{})[0].Name; got != "X-sIg" {
		t.Error(got)
	}
	s = newSigner(t, SignatureConfig{Secret: masked.New("k")})
	if got := s.Sign(Request{})[0].Name; got != "signature" {
		t.Error(got)
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
