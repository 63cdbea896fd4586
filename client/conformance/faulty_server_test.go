package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// server is a server of the contract, written for this test, with a switch for each fault.
type server struct {
	fault  string // the one fault that it has; empty: none
	prefix string // of its paths
	holds  bool
	other  int                           // the status of other projects; 0: their states are unknown
	name   func(n int) conformance.State // the n-th state; nil: Run-n and State-n

	mu      sync.Mutex
	project string            // of the first request
	states  map[string]*state // by workflow, run and state
	opened  int
}

type state struct {
	ids       []string
	status    string // waiting, settled, expired or cancelled
	outcome   []byte // canonical
	received  *conformance.Outcome
	execution string
	isBusy    bool
}

func (s *server) has(fault string) bool { return s.fault == fault }

func (s *server) open(status string) (conformance.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	key := conformance.State{Workflow: "flow", Run: fmt.Sprint("Run-", s.opened), State: fmt.Sprint("State-", s.opened)}
	if s.name != nil {
		key = s.name(s.opened)
	}
	ids := []string{key.Workflow, key.Run, key.State}
	s.states[s.key(ids...)] = &state{ids: ids, status: status, execution: fmt.Sprint("execution-", s.opened)}
	return key, nil
}

// find returns the key of the state that is taken for the one with the given ids.
func (s *server) find(ids ...string) string {
	patterns := map[string]*strings.Replacer{
		"takes _ in an id for any letter": strings.NewReplacer("_", "."), "takes % in an id for any letters": strings.NewReplacer("%", ".*"),
	}
	for _, found := range s.states {
		isIt := len(found.ids) == len(ids)
		for i := 0; isIt && i < len(ids); i++ {
			switch pattern := patterns[s.fault]; {
			case pattern != nil:
				isIt = regexp.MustCompile("^" + pattern.Replace(regexp.QuoteMeta(ids[i])) + "$").MatchString(found.ids[i])
			case s.has("finds a state by the beginning of its id"):
				isIt = strings.HasPrefix(found.ids[i], ids[i])
			default:
				isIt = false
			}
		}
		if isIt {
			return s.key(found.ids...)
		}
	}
	return s.key(ids...)
}

func (s *server) key(ids ...string) string {
	ids = slices.Clone(ids)
	for i, name := range []string{"workflow", "run"} {
		if s.has("ignores the id of the " + name) {
			ids[i] = ""
		}
	}
	if s.has("trims the id of the workflow") {
		ids[0] = strings.TrimSpace(ids[0])
	}
	if s.has("folds the id of the run to lower case") {
		ids[1] = strings.ToLower(ids[1])
	}
	if s.has("joins ids without a separator") {
		return strings.Join(ids, "")
	}
	text := fmt.Sprintf("%q", ids)
	if s.has("folds ids to lower case") {
		text = strings.ToLower(text)
	}
	return text
}

func (s *server) options() conformance.Options {
	find := func(k conformance.State) *state { return s.states[s.key(k.Workflow, k.Run, k.State)] }
	return conformance.Options{
		IsKnown: func(k conformance.State) bool {
			for n := range 99 {
				if s.name != nil && s.name(n) == k {
					return true
				}
			}
			return false
		},
		Open:    func(context.Context) (conformance.State, error) { return s.open("waiting") },
		Expired: func(context.Context) (conformance.State, error) { return s.open("expired") },
		Cancel: func(_ context.Context, k conformance.State) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			find(k).status = "cancelled"
			return nil
		},
		Received: func(_ context.Context, k conformance.State) (*conformance.Outcome, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return find(k).received, nil
		},
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, code, message := s.answer(r)
	body := map[string]string{"error_code": code, "error_msg": message, "request_id": "4711"}
	if status == http.StatusOK {
		body = map[string]string{"execution_id": message}
		if s.has("answers a success without the execution") {
			body = map[string]string{}
		}
		if s.has("names the execution in another member") {
			body = map[string]string{"executionId": message}
		}
		if s.has("answers a success with 202") {
			status = http.StatusAccepted
		}
		if s.has("answers a success with 204") {
			status, body = http.StatusNoContent, nil
		}
	}
	if status >= 400 && s.has("answers errors without a code") {
		delete(body, "error_code")
	}
	if status >= 400 && s.has("answers errors without a message") {
		delete(body, "error_msg")
	}
	if !s.has("has no request id") {
		w.Header().Set("X-Request-Id", "4711")
	}
	w.Header().Set("Content-Type", "application/json")
	if s.has("answers in HTML") {
		w.Header().Set("Content-Type", "text/html")
	}
	if s.has("redirects") && r.Header.Get("X-Workflow-Run-Id") == "" {
		w.Header().Set("Location", "/login")
		status = http.StatusFound
	}
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

const invalid = "FGS.3002"

// answer returns the status, and the code and the message of an error or the execution.
func (s *server) answer(r *http.Request) (int, string, string) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), s.prefix+"/v2/")
	parts := strings.Split(rest, "/")
	if s.has("accepts longer paths") && len(parts) > 5 {
		parts = parts[:5]
	}
	if !ok || len(parts) != 5 || parts[1] != "fgs" || parts[4] != "callback" {
		return 404, "APIGW.0101", "no such API"
	}
	if r.Method == http.MethodHead && s.has("answers HEAD with 200") {
		return 200, "", "head"
	}
	isMethod := r.Method == http.MethodPost || s.has("accepts "+r.Method)
	if !isMethod {
		return 405, "FLOWCALLBACK.METHOD", "no"
	}
	ids := []string{must(r, parts[0]), must(r, parts[3])}
	length := s.length("ids")
	if length(ids[0]) > 64 && !s.has("accepts a longer project id") || length(ids[1]) > 512 && !s.has("accepts a longer workflow id") {
		return 400, invalid, "id"
	}
	for _, name := range []string{"X-Workflow-Run-Id", "X-Workflow-State-Id"} {
		if len(r.Header.Get(name)) > 64 && s.has("has a limit for ids in headers") {
			return 400, invalid, name
		}
		if r.Header.Get(name) == "" && s.has("answers a missing header with 401") {
			return 401, "APIGW.0301", name
		}
		if r.Header.Get(name) == "" && !s.has("does not need "+name) {
			return 400, invalid, name
		}
	}
	if s.has("fails without Content-Type") && r.Header.Get("Content-Type") == "" {
		return 500, "FSS.0500", "oh"
	}
	kind := strings.ReplaceAll(r.Header.Get("Content-Type"), " ", "")
	isJSON := kind == "application/json" || strings.EqualFold(kind, "application/json;charset=utf-8") || s.has("accepts any Content-Type")
	if !isJSON || strings.Contains(kind, ";") && s.has("refuses a charset") || strings.Contains(kind, "UTF") && s.has("refuses a charset in capitals") {
		return 415, "FLOWCALLBACK.MEDIA_TYPE", "no"
	}
	body, _ := io.ReadAll(r.Body)
	sent, problem := s.parse(body)
	if problem != "" && !s.has("stores what it refuses") {
		return 400, invalid, problem
	}
	if bytes.Contains(body, []byte(`\u0000`)) && s.has("fails with a null character") {
		return 500, "FSS.0500", "oh"
	}
	s.mu.Lock()
	key := s.find(ids[1], r.Header.Get("X-Workflow-Run-Id"), r.Header.Get("X-Workflow-State-Id"))
	if s.project == "" {
		s.project = ids[0]
	}
	isProject := ids[0] == s.project || s.has("ignores the project") || s.has("compares projects in any case") && strings.EqualFold(ids[0], s.project)
	s.mu.Unlock()
	if !isProject && s.other != 0 {
		return s.other, "APIGW.0101", "another project"
	}
	if !isProject {
		key = ids[0] + key
	}
	status, code, message := s.settle(key, sent)
	if problem != "" {
		return 400, invalid, problem
	}
	return status, code, message
}

// length returns how the server counts the characters of something.
func (s *server) length(of string) func(string) int {
	switch {
	case s.has("counts bytes in " + of):
		return func(text string) int { return len(text) }
	case s.has("counts UTF-16 units in " + of):
		return func(text string) int { return len(utf16.Encode([]rune(text))) }
	default:
		return utf8.RuneCountInString
	}
}

func must(r *http.Request, segment string) string {
	copied := *r.URL
	copied.RawPath, copied.Path = "", ""
	parsed, err := copied.Parse("/" + segment)
	if err != nil {
		return segment
	}
	return strings.TrimPrefix(parsed.Path, "/")
}

func (s *server) settle(key string, sent outcome) (int, string, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has("lets both of two that race win") {
		s.mu.Unlock()
		<-time.After(20 * time.Millisecond)
		s.mu.Lock()
	}
	found := s.states[key]
	if found == nil && s.holds {
		found = &state{status: "waiting", execution: "held"}
		s.states[key] = found
	}
	if found != nil && s.has("refuses the second of two at once") {
		if found.isBusy {
			return 400, "FLOWCALLBACK.CONFLICT", "busy"
		}
		found.isBusy = true
		s.mu.Unlock()
		<-time.After(20 * time.Millisecond)
		s.mu.Lock()
		found.isBusy = false
	}
	switch {
	case found == nil && s.has("answers unknown states with 400"):
		return 400, invalid, "unknown"
	case found == nil || found.status == "waiting" && s.has("finds no state"):
		return 404, "FGS.5002", "unknown"
	case (found.status == "expired" || found.status == "cancelled") && sent.Result == "fail" && s.has("settles with a failure what waits no more"):
		return 200, "", found.execution
	case found.status == "expired" && !s.has("settles expired states"):
		if s.has("does not say that a state has expired") {
			return 404, "FGS.5002", "unknown"
		}
		return 404, "FLOWCALLBACK.EXPIRED", "expired"
	case found.status == "cancelled" && !s.has("settles cancelled states"):
		return 404, "FLOWCALLBACK.CANCELLED", "cancelled"
	case found.status == "settled":
		switch {
		case bytes.Equal(found.outcome, sent.same) && s.has("refuses a repeat"):
			return 400, "FLOWCALLBACK.CONFLICT", "again"
		case bytes.Equal(found.outcome, sent.same) && s.has("answers a repeat with another execution"):
			return 200, "", found.execution + "-again"
		case bytes.Equal(found.outcome, sent.same), s.has("takes any reason for none") && hasNoReason(found.outcome):
			return 200, "", found.execution
		case s.has("overwrites an outcome"), s.has("lets both of two that race win"):
			found.outcome, found.received = sent.same, &sent.Outcome
			return 200, "", found.execution
		case s.has("hands on what it refuses as a conflict"):
			found.received = &sent.Outcome
		case s.has("answers the loser of a race with 500"):
			return 500, "FSS.0500", "oh"
		case s.has("answers the loser of a race with 404"):
			return 404, "FGS.5002", "gone"
		case s.has("answers a conflict with 409"):
			return 409, "FLOWCALLBACK.CONFLICT", "conflict"
		case s.has("answers a conflict as settled"):
			return 200, "", found.execution
		}
		return 400, "FLOWCALLBACK.CONFLICT", "conflict"
	}
	if s.has("settles with what it refuses") {
		return 400, invalid, "and settled all the same"
	}
	if s.has("answers 200 and settles nothing") {
		return 200, "", found.execution
	}
	found.status, found.outcome, found.received = "settled", sent.same, &sent.Outcome
	return 200, "", found.execution
}

// run runs the cases with a part of their names.
func (s *server) run(t *testing.T, only string, strict bool) (results map[string]conformance.Result, err error) {
	t.Helper()
	s.states = map[string]*state{}
	listening := httptest.NewServer(s)
	defer listening.Close()
	cases, err := conformance.Cases("")
	if err != nil {
		t.Fatal(err)
	}
	cases = slices.DeleteFunc(cases, func(c conformance.Case) bool { return !strings.Contains(c.Group+": "+c.Name, only) })
	results = map[string]conformance.Result{}
	options := s.options()
	options.Strict = strict
	err = conformance.Run(t.Context(), listening.URL+s.prefix, cases, options, func(r conformance.Result) { results[r.Group+": "+r.Name] = r })
	return results, err
}
