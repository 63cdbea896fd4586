package conformance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// try runs all cases against a handler, without states.
func try(t *testing.T, handler http.HandlerFunc, options conformance.Options) (results []conformance.Result, requests int, err error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		handler(w, r)
	}))
	defer s.Close()
	cases, err := conformance.Cases(options.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	err = conformance.Run(t.Context(), s.URL, cases, options, func(r conformance.Result) { results = append(results, r) })
	return results, requests, err
}

// refusal answers with an error body.
func refusal(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "4711")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error_code": code, "error_msg": "no", "request_id": "4711"})
}

// What makes every case fail for one cause is said once, before the cases.
func TestPreflight(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    error
		says    string
	}{
		"another program": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<h1>Not found</h1>", http.StatusNotFound) }, conformance.ErrNoAPI, "check the endpoint"},
		"another path":    {func(w http.ResponseWriter, _ *http.Request) { refusal(w, 404, "APIGW.0101") }, conformance.ErrNoAPI, "is answered with 404"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/", http.StatusMovedPermanently)
		}, conformance.ErrNoAPI, "a redirect to https://other.example/"},
		"no credentials": {func(w http.ResponseWriter, _ *http.Request) { refusal(w, 401, "APIGW.0301") }, conformance.ErrCredentials, "401"},
		"no permission":  {func(w http.ResponseWriter, _ *http.Request) { refusal(w, 403, "FSS.0403") }, conformance.ErrCredentials, "--project-id"},
		"a mock": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"execution_id":"48aff955-ea10-4ffd-b426-190bc192dc13"}`))
		}, conformance.ErrMock, "a mock of the contract"},
		"a server that fails": {func(w http.ResponseWriter, _ *http.Request) { refusal(w, 503, "FSS.0503") }, conformance.ErrUnreachable, "503"},
	} {
		results, requests, err := try(t, test.handler, conformance.Options{})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || len(results) != 0 || requests != 1 && name != "a mock" {
			t.Errorf("%s: %v after %d requests with %d results; want %v that says %q after one", name, err, requests, len(results), test.want, test.says)
		}
	}
	if err := conformance.Run(t.Context(), "http://127.0.0.1:1", nil, conformance.Options{}, nil); !errors.Is(err, conformance.ErrUnreachable) {
		t.Errorf("no server: %v, want %v", err, conformance.ErrUnreachable)
	}
}

// A server that has had enough is waited for.
func TestTooManyRequests(t *testing.T) {
	isFirst := true
	results, _, err := try(t, func(w http.ResponseWriter, _ *http.Request) {
		if isFirst {
			isFirst = false
			w.Header().Set("Retry-After", "1")
			refusal(w, 429, "FSS.0429")
			return
		}
		refusal(w, 404, "FGS.5002")
	}, conformance.Options{})
	if err != nil || len(results) == 0 {
		t.Errorf("Run: %v with %d results, want that it goes on", err, len(results))
	}
}

// All requests are for the given project. What its credentials forbid is skipped, and named.
func TestProject(t *testing.T) {
	s := &server{}
	results, _, err := try(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v2/shop/") {
			refusal(w, 403, "FSS.0403")
			return
		}
		s.ServeHTTP(w, r)
	}, conformance.Options{ProjectID: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		isProject := strings.HasPrefix(r.Name, "project_id")
		if r.Err != nil || isProject != (r.Skipped == "the credentials are for another project") {
			t.Errorf("%s: %s: %v %q", r.Group, r.Name, r.Err, r.Skipped)
		}
	}
}

// Without states that wait, what settling means is skipped. The cases have names of their own, and can be run by
// other programs.
func TestCases(t *testing.T) {
	results, requests, err := try(t, (&server{}).ServeHTTP, conformance.Options{})
	if err != nil {
		t.Fatal(err)
	}
	names, skipped := map[string]bool{}, 0
	for _, r := range results {
		name := r.Group + ": " + r.Name
		if names[name] {
			t.Errorf("two cases are %q", name)
		}
		names[name] = true
		if isSettling := r.Group == "settling"; isSettling != (r.Skipped != "") || r.Err != nil {
			t.Errorf("%s: %v %q", name, r.Err, r.Skipped)
		}
		if r.Skipped != "" {
			skipped++
		}
		text, err := json.Marshal(r.Data())
		if err != nil || r.Group != "settling" && !strings.Contains(string(text), `"method":"`) {
			t.Errorf("%s as data: %s, %v", name, text, err)
		}
	}
	if len(results) < 75 || skipped < 12 || requests != len(results)-skipped+1 {
		t.Errorf("%d cases, %d of them skipped, with %d requests", len(results), skipped, requests)
	}
}

// The strict cases are tried only if they are asked for.
func TestStrict(t *testing.T) {
	results, err := (&server{}).run(t, true)
	if err != nil {
		t.Fatal(err)
	}
	failed := ""
	for name, r := range results {
		if r.Err != nil {
			failed += fmt.Sprintln(name)
		}
	}
	if !strings.Contains(failed, "header: X-Workflow-Run-Id is given twice") || !strings.Contains(failed, "request: the body is said to be compressed") || strings.Count(failed, "\n") != 3 {
		t.Errorf("failed strict cases:\n%s", failed)
	}
}
