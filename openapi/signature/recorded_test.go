package signature_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/openapi/signature"
)

const recordedSecret = "0123456789abcdef0123456789abcdef0123456789abcdef"

// What the vendor's SDKs sent verifies where a server answers 200, and does not where it answers 401.
func TestRecordedRequests(t *testing.T) {
	files, err := filepath.Glob("testdata/recorded/*.http")
	if err != nil || len(files) != 27 {
		t.Fatalf("%d recorded requests, %v; want 27", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			a, err := signature.Parse(r.Header.Get("Authorization"))
			if err != nil || !a.Covers(signature.DateHeader, "X-Workflow-Run-Id", "X-Workflow-State-Id") {
				t.Fatalf("%+v, %v", a, err)
			}
			if verifies := a.Verify(r, body, recordedSecret); verifies == strings.HasSuffix(name, "-401") {
				t.Errorf("it verifies: %t", verifies)
			}
			if a.Verify(r, append(body, ' '), recordedSecret) {
				t.Error("it verifies with another body")
			}
		})
	}
}
