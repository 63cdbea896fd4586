package interop_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flowcallback/flowcallback/server/servertest"
)

// TestReadme runs the programs of the page for users of SDKs against a demo server, which answers the first two tries with
// 503, or the second one not at all.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for language, file := range map[string]string{"go": "main.go", "js": "callback.js"} {
		t.Run(language, func(t *testing.T) {
			block := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)```\n").FindSubmatch(page)
			if block == nil {
				t.Fatal("the page has no such block")
			}
			s := servertest.Start(t, "--demo")
			program := strings.ReplaceAll(string(block[1]), "http://127.0.0.1:8080", overloaded(t, s.URL, language == "js"))
			program = strings.Replace(program, "timeout: 30000", "timeout: 500", 1)
			if program == string(block[1]) {
				t.Fatal("the program has another endpoint")
			}
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, file), []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			commands := regexp.MustCompile("(?s)`" + regexp.QuoteMeta(file) + "`.*?\n```sh\n(.*?)```\n").FindSubmatch(page)
			if commands == nil {
				t.Fatal("the page has no commands")
			}
			command := exec.CommandContext(t.Context(), "sh", "-ec", string(commands[1]))
			command.Dir = folder
			var stderr bytes.Buffer
			command.Stderr = &stderr
			printed, err := command.Output()
			// the SDK for Node logs the first answers there too
			if err != nil || !strings.HasSuffix(strings.TrimSpace(string(printed)), "aa7d6479-141d-482f-b9bc-85b5cd14066b") {
				t.Errorf("%v: it printed %s\n%s", err, printed, stderr.Bytes())
			}
		})
	}
}

// overloaded returns the address of a proxy that answers two requests with 503, or the second one not at all, before it
// passes others on.
func overloaded(t *testing.T, backend string, hangs bool) string {
	t.Helper()
	to, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	pass := httputil.NewSingleHostReverseProxy(to)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := requests.Add(1); {
		case n > 2:
			pass.ServeHTTP(w, r)
			return
		case n == 2 && hangs:
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error_code":"FSS.0503","error_msg":"Service unavailable; try again later."}`)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
