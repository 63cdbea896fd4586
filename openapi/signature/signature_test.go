package signature_test

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/openapi/signature"
)

// sent holds requests recorded from the vendor's SDKs (Go 0.1.207, Node 3.1.211). They are
// signed with the secret key "SECRET".
var sent = map[string]struct {
	path, host, body, authorization string
	header                          map[string]string
}{
	"Go": {
		"/v2/proj%2525%20x/fgs/workflows/w%20f/%C3%A9/callback", "127.0.0.1:33375", `{"result":"fail","output":null}` + "\n",
		"SDK-HMAC-SHA256 Access=AKID, SignedHeaders=user-agent;x-project-id;x-sdk-date;x-workflow-run-id;x-workflow-state-id, Signature=0b3b641b4ee886306894ae3fce73c062877f7a316baae8fc77e822632ac5e86f",
		map[string]string{
			"User-Agent":   "huaweicloud-usdk-go/3.0; os/Debian_GNU/Linux#12_(bookworm)#amd64 go/go1.26.8; app/11e08b86-5273-4e0f-9e0a-a70ea0b2d2f0",
			"X-Project-Id": "proj%25 x", "X-Sdk-Date": "20261122T091307Z", "X-Workflow-Run-Id": "r", "X-Workflow-State-Id": "s",
		},
	},
	"Node": {
		"/v2/proj/fgs/workflows/wf/callback", "127.0.0.1:37745", `{"result":"success","output":{"a":1}}`,
		"SDK-HMAC-SHA256 Access=AKID, SignedHeaders=content-type;host;x-project-id;x-sdk-date;x-workflow-run-id;x-workflow-state-id, Signature=6f46b3475b0dcd5b57774bb5aaf2a728a16b23566a514d5612c5c0693a22276d",
		map[string]string{
			"Content-Type": "application/json", "User-Agent": "anything",
			"X-Project-Id": "proj", "X-Sdk-Date": "20261122T091307Z", "X-Workflow-Run-Id": "r", "X-Workflow-State-Id": "s",
		},
	},
}

func request(t *testing.T, sdk string) (*http.Request, []byte, signature.Authorization) {
	t.Helper()
	s := sent[sdk]
	r := httptest.NewRequest(http.MethodPost, s.path, strings.NewReader(s.body))
	r.Host = s.host
	for name, value := range s.header {
		r.Header.Set(name, value)
	}
	a, err := signature.Parse(s.authorization)
	if err != nil {
		t.Fatal(err)
	}
	return r, []byte(s.body), a
}

func TestSignaturesOfTheSDKsVerify(t *testing.T) {
	for sdk := range sent {
		r, body, a := request(t, sdk)
		if a.AccessKey != "AKID" || !a.Verify(r, body, "SECRET") {
			t.Errorf("the signature of the %s SDK does not verify", sdk)
		}
	}
}

func TestWhatIsSignedCannotChange(t *testing.T) {
	for name, change := range map[string]func(*http.Request, *[]byte){
		"method":         func(r *http.Request, _ *[]byte) { r.Method = http.MethodPut },
		"path":           func(r *http.Request, _ *[]byte) { r.URL.Path += "x" },
		"query":          func(r *http.Request, _ *[]byte) { r.URL.RawQuery = "a=b" },
		"broken query":   func(r *http.Request, _ *[]byte) { r.URL.RawQuery = "%zz" },
		"body":           func(_ *http.Request, body *[]byte) { *body = append(*body, ' ') },
		"date":           func(r *http.Request, _ *[]byte) { r.Header.Set("X-Sdk-Date", "20261122T091308Z") },
		"run":            func(r *http.Request, _ *[]byte) { r.Header.Set("X-Workflow-Run-Id", "R") },
		"space (HTTP/2)": func(r *http.Request, _ *[]byte) { r.Header.Set("X-Workflow-Run-Id", " r") },
		"tab (HTTP/2)":   func(r *http.Request, _ *[]byte) { r.Header.Set("X-Workflow-State-Id", "s\t") },
		"no state":       func(r *http.Request, _ *[]byte) { r.Header.Del("X-Workflow-State-Id") },
		"a second state": func(r *http.Request, _ *[]byte) { r.Header.Add("X-Workflow-State-Id", "") },
		"a second date":  func(r *http.Request, _ *[]byte) { r.Header.Add("X-Sdk-Date", r.Header.Get("X-Sdk-Date")) },
		"unsigned body": func(r *http.Request, body *[]byte) {
			r.Header.Set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")
			*body = nil
		},
		"host (Node)":       func(r *http.Request, _ *[]byte) { r.Host = "elsewhere" },
		"media type (Node)": func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Type", "application/json; charset=utf-8") },
	} {
		for sdk := range sent {
			if strings.HasSuffix(name, "(Node)") && sdk != "Node" {
				continue
			}
			r, body, a := request(t, sdk)
			change(r, &body)
			if a.Verify(r, body, "SECRET") {
				t.Errorf("%s: the signature of the %s SDK still verifies", name, sdk)
			}
		}
	}
	r, body, a := request(t, "Go")
	if a.Verify(r, body, "secret") {
		t.Error("the signature of the Go SDK verifies with a wrong secret key")
	}
}

func TestSignAndVerify(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 13, 7, 0, time.UTC)
	for _, target := range []string{
		"/v1/p/waits", "/v1/a%2Fb/waits", "/v1/%25%20%C3%A9/waits?limit=1&cursor=a+b&status=%C3%A9", "/v1/p/waits?b=2&a=2&a=1", "/",
	} {
		r := httptest.NewRequest(http.MethodPost, target, nil)
		r.Header.Set("X-Workflow-Run-Id", "  ünï  ")
		if err := signature.Sign(r, []byte("body"), "key", "secret", now); err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", "through a proxy")
		r.Header.Set("X-Workflow-Run-Id", "ünï") // HTTP/1 removes white space
		a, err := signature.Parse(r.Header.Get("Authorization"))
		if err != nil || !a.Verify(r, []byte("body"), "secret") || !a.Covers("X-Sdk-Date", "host", "x-workflow-run-id") || a.Covers("X-Workflow-State-Id") {
			t.Errorf("%s: the signature %+v, %v does not verify or covers the wrong headers", target, a, err)
		}
		if at, err := signature.Time(r); err != nil || !at.Equal(now) {
			t.Errorf("Time = %v, %v; want %v", at, err, now)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	sum := hex.EncodeToString(make([]byte, 32))
	for _, header := range []string{
		"", "Basic x", "SDK-HMAC-SHA256", "SDK-HMAC-SHA256 ", "sdk-hmac-sha256 Access=a, SignedHeaders=b, Signature=" + sum,
		"SDK-HMAC-SHA256 Access=a, SignedHeaders=b", "SDK-HMAC-SHA256 Access=a, Signature=" + sum, "SDK-HMAC-SHA256 SignedHeaders=b, Signature=" + sum,
		"SDK-HMAC-SHA256 Access=, SignedHeaders=b, Signature=" + sum, "SDK-HMAC-SHA256 Access=a, SignedHeaders=, Signature=" + sum,
		"SDK-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=xyz", "SDK-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=",
		"SDK-HMAC-SHA256 Access=a, Access=b, SignedHeaders=b, Signature=" + sum, "SDK-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=" + sum + ", More=x",
		"SDK-HMAC-SHA256 Access=a, SignedHeaders=b;b, Signature=" + sum, "SDK-HMAC-SHA256 Access=a, SignedHeaders=b;B, Signature=" + sum,
		"SDK-HMAC-SHA256 Access=a, SignedHeaders=;b, Signature=" + sum, "SDK-HMAC-SHA256 Access=a SignedHeaders=b Signature=" + sum,
	} {
		if a, err := signature.Parse(header); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", header, a)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range sent {
		f.Add(s.authorization)
	}
	f.Add("SDK-HMAC-SHA256 Access=a, SignedHeaders=;, Signature=00")
	f.Add("SDK-HMAC-SHA256 Signature=00,SignedHeaders=host;x-sdk-date,Access=\x00")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := signature.Parse(header)
		if err != nil {
			return
		}
		if a.AccessKey == "" || len(a.SignedHeaders) == 0 || len(a.Signature) == 0 {
			t.Errorf("Parse(%q) = %+v, want no empty field", header, a)
		}
		r := httptest.NewRequest(http.MethodPost, "/v2/p/fgs/workflows/w/callback", nil)
		if a.Verify(r, nil, "a secret that no corpus signs with") {
			t.Errorf("Verify of %q succeeded with a wrong secret key", header)
		}
	})
}
