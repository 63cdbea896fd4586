package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// try runs all cases against a handler, without states.
func try(t *testing.T, handler http.HandlerFunc, options conformance.Options) (results []conformance.Result, requests int, err error) {
	t.Helper()
	var count atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		handler(w, r)
	}))
	defer s.Close()
	cases, err := conformance.Cases(options.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	err = conformance.Run(t.Context(), s.URL, cases, options, func(r conformance.Result) { results = append(results, r) })
	return results, int(count.Load()), err
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
		"a page for people": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html>")) }, conformance.ErrNoAPI, "<!doctype html>"},
		"HTTP to a port for HTTPS": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
		}, conformance.ErrNoAPI, "HTTPS server"},
		"another method":      {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusMethodNotAllowed) }, conformance.ErrNoAPI, "405"},
		"a server for files":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusNotImplemented) }, conformance.ErrNoAPI, "501"},
		"a server that fails": {func(w http.ResponseWriter, _ *http.Request) { refusal(w, 500, "FSS.0500") }, conformance.ErrUnavailable, "500"},
	} {
		results, requests, err := try(t, test.handler, conformance.Options{})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || len(results) != 0 || requests != 1 && name != "a mock" {
			t.Errorf("%s: %v after %d requests with %d results; want %v that says %q after one", name, err, requests, len(results), test.want, test.says)
		}
	}
	if err := conformance.Run(t.Context(), "http://127.0.0.1:1", nil, conformance.Options{}, nil); !errors.Is(err, conformance.ErrUnreachable) {
		t.Errorf("no server: %v, want %v", err, conformance.ErrUnreachable)
	}
	for _, endpoint := range []string{"127.0.0.1:80", "ftp://127.0.0.1", "http://127.0.0.1?x=1", "http://127.0.0.1#x", "http://user:secret@127.0.0.1", ""} {
		if err := conformance.Run(t.Context(), endpoint, nil, conformance.Options{}, nil); err == nil || !strings.Contains(err.Error(), "want ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
}

// A server that is gone ends the run with one error; one that breaks off the connection at one request fails that case.
func TestServerThatGoes(t *testing.T) {
	var requests atomic.Int64
	results, _, err := try(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 20 {
			panic(http.ErrAbortHandler)
		}
		(&server{}).ServeHTTP(w, r)
	}, conformance.Options{Retry: -1})
	if !errors.Is(err, conformance.ErrUnreachable) || len(results) == 0 || len(results) > 20 || results[len(results)-1].Err == nil {
		t.Errorf("a server that goes: %d results, %v; want those until then, and %v", len(results), err, conformance.ErrUnreachable)
	}
	results, _, err = try(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") == "" {
			panic(http.ErrAbortHandler)
		}
		(&server{}).ServeHTTP(w, r)
	}, conformance.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if isIt := r.Name == "Content-Type is left out"; isIt != (r.Err != nil) || isIt && !strings.Contains(r.Curl, "-H 'Content-Type:'") {
			t.Errorf("%s: %s: %v", r.Group, r.Name, r.Err)
		}
	}
}

// A server that stays busy ends the run, too.
func TestServerThatStaysBusy(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		var requests atomic.Int64
		results, _, err := try(t, func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) > 20 {
				refusal(w, status, "FSS.0503")
				return
			}
			(&server{}).ServeHTTP(w, r)
		}, conformance.Options{Retry: time.Second})
		if !errors.Is(err, conformance.ErrUnavailable) || len(results) != 19 || results[18].Err != nil {
			t.Errorf("a server that answers %d from the 21st request on: %d results, %v; want 19, and %v", status, len(results), err, conformance.ErrUnavailable)
		}
	}
}

// What a server may do, or what is in front of it, is no reason for an alarm.
func TestBusyServers(t *testing.T) {
	var requests atomic.Int64
	for name, test := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"is busy at times": func(w http.ResponseWriter, _ *http.Request) bool {
			if requests.Load()%20 == 7 {
				refusal(w, 503, "FSS.0503")
				return true
			}
			return false
		},
		"breaks connections off": func(http.ResponseWriter, *http.Request) bool {
			if requests.Load()%25 == 7 {
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"forbids other methods": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				refusal(w, 403, "WAF.1")
			}
			return r.Method != http.MethodPost
		},
		"knows one method": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				http.Error(w, "no", http.StatusNotImplemented)
			}
			return r.Method != http.MethodPost
		},
		"asks for credentials elsewhere": func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/more") {
				refusal(w, 401, "WAF.2")
			}
			return strings.HasSuffix(r.URL.Path, "/more")
		},
	} {
		results, _, err := try(t, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if !test(w, r) {
				(&server{}).ServeHTTP(w, r)
			}
		}, conformance.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Errorf("a server that %s: %s: %s: %v", name, r.Group, r.Name, r.Err)
			}
		}
	}
}

// A state is for one case.
func TestStateGivenTwice(t *testing.T) {
	s := &server{states: map[string]*state{}}
	one, _ := s.open("waiting")
	options := conformance.Options{Open: func(context.Context) (conformance.State, error) { return one, nil }}
	if _, _, err := try(t, s.ServeHTTP, options); err == nil || !strings.Contains(err.Error(), "was given before") {
		t.Errorf("Run: %v, want that the state was given before", err)
	}
}

// Ids that the contract does not allow are said to be so, and nothing is sent for them.
func TestIDsThatAreNotAllowed(t *testing.T) {
	s := &server{states: map[string]*state{}}
	for name, options := range map[string]conformance.Options{
		"project_id: must have at most": {ProjectID: strings.Repeat("p", 99)},
		"X-Workflow-Run-Id: must": {Open: func(context.Context) (conformance.State, error) {
			return conformance.State{Workflow: "w", Run: "", State: "s"}, nil
		}},
		"X-Workflow-State-Id: has a control character": {Open: func(context.Context) (conformance.State, error) {
			return conformance.State{Workflow: "w", Run: "r", State: "s\n"}, nil
		}},
	} {
		if results, _, err := try(t, s.ServeHTTP, options); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Run: %v with %d results, want an error with %q", err, len(results), name)
		}
	}
}

// The race is tried with several states, and with one if there are no more.
func TestRounds(t *testing.T) {
	cases, err := conformance.Cases("")
	if err != nil {
		t.Fatal(err)
	}
	cases = slices.DeleteFunc(cases, func(c conformance.Case) bool { return c.Name != "of two outcomes that race, one wins" })
	for states, want := range map[int]string{0: "there is no state that waits", 1: "", 3: "", 99: ""} {
		s := &server{states: map[string]*state{}}
		listening := httptest.NewServer(s)
		options := s.options()
		options.Open = func(context.Context) (conformance.State, error) {
			if s.opened == states {
				return conformance.State{}, conformance.ErrNoState
			}
			return s.open("waiting")
		}
		var results []conformance.Result
		err := conformance.Run(t.Context(), listening.URL, cases, options, func(r conformance.Result) { results = append(results, r) })
		if err != nil || len(results) != 1 || results[0].Err != nil || results[0].Skipped != want || s.opened != min(states, cases[0].Rounds) {
			t.Errorf("with %d states: %v, %+v after %d", states, err, results, s.opened)
		}
		listening.Close()
	}
}

// The commands for curl send the same request.
func TestCurl(t *testing.T) {
	type received struct {
		method, uri, body string
		header            http.Header
	}
	requests := make(chan received, 2)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- received{r.Method, r.RequestURI, string(body), r.Header}
		refusal(w, 404, "FGS.5002")
	}))
	defer echo.Close()
	cases, err := conformance.Cases("")
	if err != nil {
		t.Fatal(err)
	}
	authenticate := func(r *http.Request, _ []byte) error { r.Header.Set("X-Auth-Token", "secret"); return nil }
	err = conformance.Run(t.Context(), echo.URL, cases, conformance.Options{Authenticate: authenticate}, func(r conformance.Result) {
		if r.Skipped != "" {
			return
		}
		for len(requests) > 1 { // of the preflight
			<-requests
		}
		sent := <-requests
		if strings.Contains(r.Curl, "--data-binary @-") {
			return
		}
		if strings.Contains(r.Curl, "secret") {
			t.Errorf("%s: the command has credentials: %s", r.Name, r.Curl)
		}
		command := exec.CommandContext(t.Context(), "bash", "-c", r.Curl+" --silent")
		command.Env = append(os.Environ(), "FLOWCALLBACK_TOKEN=secret")
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", r.Name, r.Curl, err, output)
			return
		}
		got := <-requests
		for _, header := range []string{"Content-Type", "X-Workflow-Run-Id", "X-Workflow-State-Id", "X-Auth-Token"} {
			if !slices.Equal(got.header[header], sent.header[header]) {
				t.Errorf("%s: %s: curl sent %s %q, want %q", r.Name, r.Curl, header, got.header[header], sent.header[header])
			}
		}
		if got.method != sent.method || got.uri != sent.uri || got.body != sent.body && got.method != http.MethodHead {
			t.Errorf("%s: %s: curl sent %s %s %q, want %s %s %q", r.Name, r.Curl, got.method, got.uri, got.body, sent.method, sent.uri, sent.body)
		}
	})
	if err != nil {
		t.Fatal(err)
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
		if err != nil || !strings.Contains(string(text), `"method":"`) || (r.Group == "settling") != strings.Contains(string(text), `"steps":[`) {
			t.Errorf("%s as data: %s, %v", name, text, err)
		}
	}
	if len(results) < 75 || skipped < 12 || requests != len(results)-skipped+1 {
		t.Errorf("%d cases, %d of them skipped, with %d requests", len(results), skipped, requests)
	}
}

// The strict cases are tried only if they are asked for.
func TestStrict(t *testing.T) {
	results, err := (&server{}).run(t, "", true)
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
