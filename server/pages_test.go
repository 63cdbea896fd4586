package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// Pages load what is this server's and nothing else, and no script that stands in a page. They find their files wherever
// the server is served.
func TestPages(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	for path, root := range map[string]string{
		"/console/": "../", "/console/project": "../", "/console/project?status=fail": "../", "/console/a%2Fb/w": "../../", "/console/project/wait": "../../", "/docs/": "../",
	} {
		a := s.get(t, path)
		if policy := a.header.Get("Content-Security-Policy"); a.status != 200 || policy == "" || strings.Contains(policy, "unsafe-inline") || strings.Contains(policy, "unsafe-eval") || strings.Contains(policy, "http") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: %d with the policy %q", path, a.status, policy)
		}
		if page := string(a.body); !strings.Contains(page, `href="`+root+`static/console.css"`) || !strings.Contains(page, `<meta name="sign-in" content="not needed">`) || strings.Contains(page, "<script>") {
			t.Errorf("%s: want the root %s, and no sign-in:\n%s", path, root, page)
		}
	}
	page := string(s.get(t, "/console/project/wait").body)
	for _, script := range []string{"console.js", "wait.js", "lit/directives/keyed.js"} {
		if !strings.Contains(page, `<link rel="modulepreload" href="../../static/`+script+`">`) {
			t.Errorf("the page does not say that it needs %s", script)
		}
	}
	for _, path := range []string{"/console/project/wait/more", "/static/", "/static/nothing.js", "/static/lit/lit-html.d.ts", "/docs/index.html"} {
		s.get(t, path).want(t, 404, "APIGW.0101")
	}
}

// Files are kept by browsers for as long as they are the same.
func TestFilesAreKept(t *testing.T) {
	s := start(t, server.Config{}, sqlite.Options{})
	ask := func(tag string) *http.Response {
		r := s.request(t, http.MethodGet, "/static/console.js", "")
		r.Header.Set("If-None-Match", tag)
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response
	}
	first := ask("")
	if first.StatusCode != http.StatusOK || first.Header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(first.Header.Get("Content-Type"), "text/javascript") {
		t.Fatalf("script: %d %v", first.StatusCode, first.Header)
	}
	if again := ask(first.Header.Get("Etag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("the same script again: %d, want 304", again.StatusCode)
	}
}

// A page says whether credentials are needed that its own request does not have. An outage of what decides is not that.
func TestPagesSayWhetherToSignIn(t *testing.T) {
	for want, err := range map[string]error{"needed": server.ErrUnauthenticated, "not needed": context.DeadlineExceeded} {
		s := start(t, server.Config{Authorize: func(context.Context, server.Call) (server.Principal, error) { return server.Principal{}, err }}, sqlite.Options{})
		if page := string(s.get(t, "/console/").body); !strings.Contains(page, `<meta name="sign-in" content="`+want+`">`) {
			t.Errorf("if Authorize says %v, the page is\n%s\nwant that sign-in is %s", err, page, want)
		}
	}
}
