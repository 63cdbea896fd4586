package conformance_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// walk runs all cases against handler. It returns the failed cases by group and name, and the
// number of cases.
func walk(t *testing.T, handler http.Handler) (failed map[string]error, all int) {
	t.Helper()
	s := httptest.NewServer(handler)
	defer s.Close()
	cases, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	failed = map[string]error{}
	names := map[string]bool{}
	err = conformance.Run(t.Context(), s.URL, cases, conformance.Options{}, func(r conformance.Result) {
		all++
		names[r.Group+": "+r.Name] = true
		if r.Err != nil {
			failed[r.Group+": "+r.Name] = r.Err
		}
	})
	if err != nil || all != len(cases) || len(names) != all || all < 60 {
		t.Errorf("Run reported %d results for %d cases with %d distinct names, %v", all, len(cases), len(names), err)
	}
	return failed, all
}

// A hand-written server with typical mistakes fails the cases that it gets wrong, and passes
// the cases that it gets right.
func TestSloppyServerDoesNot(t *testing.T) {
	failed, all := walk(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := func(status int, code string) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"error_code": code, "error_msg": "no"})
		}
		w.Header().Set("X-Request-Id", "4711")
		body, _ := io.ReadAll(r.Body)
		var request struct{ Result, Error string }
		switch {
		case r.Method != http.MethodPost:
			w.Header().Del("X-Request-Id")
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.Header.Get("X-Workflow-Run-Id") == "", r.Header.Get("X-Workflow-State-Id") == "":
			answer(400, "FGS.3002")
		case json.Unmarshal(body, &request) != nil, request.Result != "success" && request.Result != "fail", len(request.Error) > 64:
			answer(400, "FGS.3002")
		default:
			answer(404, "FGS.5002")
		}
	}))
	for _, want := range []string{
		"body: error has its greatest length", // the server counts bytes, not characters
		"body: output is left out",            // the server does not check output
		"body: output is an array",
		"body: result is spelled in capitals", // encoding/json ignores case
		"document: has a member twice",
		"document: is a success without output",
		"request: Content-Type is text/plain",
		"request: the body is said to be compressed",
	} {
		if failed[want] == nil {
			t.Errorf("case %q passed, want a failure", want)
		}
		delete(failed, want)
	}
	for _, fine := range []string{"header: X-Workflow-Run-Id is left out", "document: is not JSON", "body: result is success", "body: error is one too long"} {
		if err := failed[fine]; err != nil {
			t.Errorf("case %q failed: %v", fine, err)
		}
	}
	if len(failed) > all/2 {
		t.Errorf("%d of %d other cases failed, want at most half", len(failed), all)
	}
}

func TestEveryAnswerIsJudged(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"fails":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "the server failed"},
		"answers in text": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "FGS.3002", http.StatusBadRequest) }, "breaks the contract"},
	} {
		failed, all := walk(t, test.handler)
		if len(failed) < all-4 { // the contract does not describe responses for other methods and paths
			t.Errorf("a server that %s passed %d of %d cases", name, all-len(failed), all)
		}
		for name, err := range failed {
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("case %s: %v; want an error that contains %q", name, err, test.want)
			}
		}
	}
}

// Refused credentials end the run: every further request would count as a failed attempt.
func TestRefusedCredentialsEndTheRun(t *testing.T) {
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer s.Close()
	cases, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	err = conformance.Run(t.Context(), s.URL, cases, conformance.Options{}, func(conformance.Result) {})
	if !errors.Is(err, conformance.ErrCredentials) || requests != 1 {
		t.Errorf("Run: %v after %d requests, want %v after one", err, requests, conformance.ErrCredentials)
	}
}
