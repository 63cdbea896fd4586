package interop_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/signer"
	sdkrequest "github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"

	"github.com/flowcallback/flowcallback/openapi/signature"
)

// For the same request, the official SDK and package signature compute the same signature, and
// package signature verifies the SDK's. The ids include special characters. The SDK does not
// escape slashes, so it cannot send a slash inside an id. Its Go version trims Unicode white
// space before it signs but sends it, so that a signature of "r" would cover U+00A0 "r" too;
// such a signature is refused (see package auth).
func TestSignatureIsTheSDKs(t *testing.T) {
	now := time.Now().UTC()
	for _, id := range []string{
		"id", "a b", " ", "a/b", "%", "%25", "%2F", "a%20b", "+", "a+b", "é", "日本語", "😀", "?", "#", "&", "=", "a=b&c", ";", ",", ":", "@", "$",
		"!", "*", "'", "(", ")", "~", "-._~", "[", "]", "{x}", "\\", "\"", "<>", "^", "`", "|",
	} {
		official := sdkrequest.NewHttpRequestBuilder().
			WithEndpoint("http://127.0.0.1:8080").WithMethod(http.MethodPost).
			WithPath("/v2/{project_id}/fgs/workflows/{workflow_id}/callback").
			AddPathParam("project_id", id).AddPathParam("workflow_id", id).
			AddHeaderParam("Content-Type", "application/json").AddHeaderParam("User-Agent", "sdk").
			AddHeaderParam("X-Workflow-Run-Id", id).AddHeaderParam("X-Workflow-State-Id", id).
			AddHeaderParam("X-Sdk-Date", now.Format(signature.DateFormat)).
			WithBody("", map[string]any{"result": "success", "output": map[string]any{}}).
			Build()
		headers, err := signer.Sign(official, accessKey, secretKey)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			official.AddHeaderParam(name, value)
		}
		r, err := official.ConvertRequest()
		if err != nil {
			t.Fatal(err)
		}
		for _, values := range r.Header { // as an HTTP/1 server receives them
			for i := range values {
				values[i] = strings.Trim(values[i], " \t")
			}
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		a, err := signature.Parse(r.Header.Get("Authorization"))
		if err != nil || !a.Verify(r, body, secretKey) {
			t.Errorf("id %q: the SDK's signature %+v does not verify: %v", id, a, err)
			continue
		}
		if a.Verify(r, body, "another secret") {
			t.Errorf("id %q: the SDK's signature verifies with a wrong secret key", id)
		}

		// Signing the same headers with package signature gives the same Authorization header.
		ours := r.Clone(t.Context())
		ours.Header = http.Header{}
		for _, name := range a.SignedHeaders {
			if name != "user-agent" {
				ours.Header.Set(name, r.Header.Get(name))
			}
		}
		if err := signature.Sign(ours, body, accessKey, secretKey, now); err != nil {
			t.Fatal(err)
		}
		again := sdkrequest.NewHttpRequestBuilder().
			WithEndpoint("http://127.0.0.1:8080").WithMethod(http.MethodPost).
			WithPath("/v2/{project_id}/fgs/workflows/{workflow_id}/callback").
			AddPathParam("project_id", id).AddPathParam("workflow_id", id).
			AddHeaderParam("Host", "127.0.0.1:8080").
			AddHeaderParam("X-Workflow-Run-Id", id).AddHeaderParam("X-Workflow-State-Id", id).
			AddHeaderParam("X-Sdk-Date", now.Format(signature.DateFormat)).
			WithBody("", map[string]any{"result": "success", "output": map[string]any{}}).
			Build()
		wanted, err := signer.Sign(again, accessKey, secretKey)
		if err != nil {
			t.Fatal(err)
		}
		if got := ours.Header.Get("Authorization"); got != wanted["Authorization"] {
			t.Errorf("id %q:\nours     %s\nthe SDK's %s", id, got, wanted["Authorization"])
		}
	}
}
