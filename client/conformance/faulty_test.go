package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/client/conformance"
)

var update = flag.Bool("update", false, "write FAULTS.md")

// server is a server of the contract, written for this test, with a switch for each fault.
type server struct {
	fault  string // the one fault that it has; empty: none
	prefix string // of its paths
	holds  bool

	mu     sync.Mutex
	states map[string]*state // by workflow, run and state
	opened int
}

type state struct {
	status    string // waiting, settled, expired or cancelled
	outcome   []byte // canonical
	received  *conformance.Outcome
	execution string
}

// outcome is what a body says.
type outcome struct {
	conformance.Outcome

	same []byte // canonical
}

func (s *server) has(fault string) bool { return s.fault == fault }

func (s *server) open(status string) (conformance.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	key := conformance.State{Workflow: "flow", Run: fmt.Sprint("Run-", s.opened), State: fmt.Sprint("State-", s.opened)}
	s.states[s.key(key.Workflow, key.Run, key.State)] = &state{status: status, execution: key.Run}
	return key, nil
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
	text := fmt.Sprintf("%q", ids)
	if s.has("folds ids to lower case") {
		text = strings.ToLower(text)
	}
	return text
}

func (s *server) options() conformance.Options {
	find := func(k conformance.State) *state { return s.states[s.key(k.Workflow, k.Run, k.State)] }
	return conformance.Options{
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
	if kind := r.Header.Get("Content-Type"); kind != "application/json" && !strings.EqualFold(kind, "application/json; charset=utf-8") && !s.has("accepts any Content-Type") || strings.Contains(kind, ";") && s.has("refuses a charset") {
		return 415, "FLOWCALLBACK.MEDIA_TYPE", "no"
	}
	body, _ := io.ReadAll(r.Body)
	sent, problem := s.parse(body)
	if problem != "" {
		return 400, invalid, problem
	}
	key := s.key(ids[1], r.Header.Get("X-Workflow-Run-Id"), r.Header.Get("X-Workflow-State-Id"))
	if strings.HasPrefix(ids[0], "another-") && !s.has("ignores the project") {
		key = ids[0] + key
	}
	return s.settle(key, sent)
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

// parse returns the outcome, or what is wrong with a body.
func (s *server) parse(body []byte) (sent outcome, problem string) {
	if !utf8.Valid(body) && !s.has("accepts bytes that are not UTF-8") {
		return sent, "UTF-8"
	}
	if bytes.HasPrefix(body, []byte("\ufeff")) {
		if !s.has("accepts a byte order mark") {
			return sent, "byte order mark"
		}
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
	}
	if bytes.Contains(body, []byte(`\ud800`)) && !s.has("accepts a lone surrogate") {
		return sent, "surrogate"
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	var members map[string]json.RawMessage
	if decoder.Decode(&members) != nil || members == nil {
		if s.has("accepts a body that is no object") {
			return outcome{same: []byte("x")}, ""
		}
		return sent, "object"
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) && !s.has("reads the first of two documents") {
		return sent, "two documents"
	}
	if hasTwice(body) && !s.has("accepts a member twice") {
		return sent, "twice"
	}
	for name := range members {
		lower := strings.ToLower(name)
		if name == lower || !slices.Contains([]string{"result", "error", "output"}, lower) {
			if s.has("refuses members that it does not know") && !slices.Contains([]string{"result", "error", "output"}, name) {
				return sent, "unknown"
			}
			continue
		}
		if !s.has("reads members in any case") {
			return sent, "case"
		}
		members[lower] = members[name]
	}
	var result, reason string
	if json.Unmarshal(members["result"], &result) != nil || result != "success" && result != "fail" {
		folded := strings.ToLower(result)
		switch {
		case s.has("accepts any result"), s.has("reads results in any case") && (folded == "success" || folded == "fail"):
		case members["result"] == nil && s.has("has success as the default"):
			result = "success"
		default:
			return sent, "result"
		}
	}
	length := s.length("the reason")
	if text, given := members["error"]; given {
		most := 64
		if s.has("has a shorter limit for the reason") {
			most = 63
		}
		isText := json.Unmarshal(text, &reason) == nil && string(text) != "null"
		if !isText && s.has("accepts a reason of any type") {
			isText, reason = true, "x"
		}
		if !isText || length(reason) > most && !s.has("cuts a long reason") || reason == "" && !s.has("accepts an empty reason") {
			return sent, "error"
		}
	}
	output := members["output"]
	isNull := string(output) == "null"
	switch {
	case output == nil && (s.has("does not need output") || result == "fail" && s.has("does not need output of a failure")):
		output = json.RawMessage("{}")
	case isNull && result == "fail" && s.has("hands null on"):
	case isNull && result == "fail" && !s.has("refuses null of a failure"), isNull && s.has("accepts null of a success"):
		output = json.RawMessage("{}")
	case len(output) == 0 || output[0] != '{' && !s.has("accepts any output"):
		return sent, "output"
	}
	most := 50
	if s.has("nests less deeply") {
		most = 20
	}
	if depthOf(output) > most && !s.has("nests without an end") {
		return sent, "depth"
	}
	if s.has("reads numbers as floats") {
		var value any
		if json.Unmarshal(output, &value) != nil {
			return sent, "number"
		}
		output, _ = json.Marshal(value)
	}
	sent.Outcome = conformance.Outcome{Result: result, Error: reason, Output: s.handed(result, output)}
	same, _ := json.Marshal(value(output))
	switch {
	case s.has("compares outputs as text"):
		same = output
	case s.has("compares results only"), s.has("does not compare the output of a failure") && result == "fail":
		same = nil
	}
	if s.has("does not compare reasons") {
		reason = ""
	}
	sent.same = []byte(result + "\n" + reason + "\n" + string(same))
	if s.has("takes no failure for the same") && result == "fail" {
		s.mu.Lock()
		s.opened++
		sent.same = fmt.Append(sent.same, s.opened)
		s.mu.Unlock()
	}
	return sent, ""
}

// handed returns the output that the waiting side receives.
func (s *server) handed(result string, output json.RawMessage) json.RawMessage {
	text := string(output)
	switch {
	case s.has("loses the output"), s.has("loses the output of a failure") && result == "fail", s.has("loses long outputs") && len(text) > 1000:
		return json.RawMessage("{}")
	case s.has("drops null"):
		return json.RawMessage(strings.ReplaceAll(text, "null", "0"))
	case s.has("drops __proto__"):
		return json.RawMessage(strings.ReplaceAll(text, "__proto__", "proto"))
	case s.has("loses the sign of zero"):
		return json.RawMessage(strings.ReplaceAll(text, "-0,", "0,"))
	case s.has("composes characters"):
		return json.RawMessage(strings.ReplaceAll(text, `e\u0301`, "é"))
	}
	return output
}

func value(text []byte) (v any) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	_ = decoder.Decode(&v)
	return v
}

func depthOf(text []byte) (most int) {
	depth, inText := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case !inText && (c == '{' || c == '['):
			depth++
			most = max(most, depth)
		case !inText && (c == '}' || c == ']'):
			depth--
		}
	}
	return most
}

// hasTwice reports whether an object has two members of one name.
func hasTwice(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var walk func() bool
	walk = func() bool {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		names := map[string]bool{}
		for isObject := token == json.Delim('{'); (isObject || token == json.Delim('[')) && decoder.More(); {
			if isObject {
				name, _ := decoder.Token()
				if text, ok := name.(string); ok && names[text] {
					return true
				} else if ok {
					names[text] = true
				}
			}
			if walk() {
				return true
			}
		}
		if token == json.Delim('{') || token == json.Delim('[') {
			_, _ = decoder.Token()
		}
		return false
	}
	return walk()
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
		case bytes.Equal(found.outcome, sent.same):
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

func (s *server) run(t *testing.T, strict bool) (results map[string]conformance.Result, err error) {
	t.Helper()
	s.states = map[string]*state{}
	listening := httptest.NewServer(s)
	defer listening.Close()
	cases, err := conformance.Cases("")
	if err != nil {
		t.Fatal(err)
	}
	results = map[string]conformance.Result{}
	options := s.options()
	options.Strict = strict
	err = conformance.Run(t.Context(), listening.URL+s.prefix, cases, options, func(r conformance.Result) { results[r.Group+": "+r.Name] = r })
	return results, err
}

// faults are the faults of servers, with a case that finds each and a part of what it says.
var faults = map[string][2]string{
	"folds ids to lower case":                   {"settling: the id of the state is compared byte for byte", "was accepted"},
	"folds the id of the run to lower case":     {"settling: the id of the run is compared byte for byte", "was accepted"},
	"ignores the id of the workflow":            {"settling: the id of the workflow is compared byte for byte", "was accepted"},
	"ignores the id of the run":                 {"settling: the id of the run is compared byte for byte", "was accepted"},
	"trims the id of the workflow":              {"settling: the id of the workflow is compared byte for byte", "with a space behind it"},
	"ignores the project":                       {"settling: the state belongs to its project", "must not be found"},
	"answers a missing header with 401":         {"header: X-Workflow-Run-Id is left out", "400 with FGS.3002 is wanted: 401"},
	"counts UTF-16 units in ids":                {"path: workflow_id has its greatest length", "the contract counts code points"},
	"counts UTF-16 units in the reason":         {"body: error has its greatest length", "the contract counts code points"},
	"does not compare reasons":                  {"settling: another reason is a conflict", "was accepted"},
	"does not compare the output of a failure":  {"settling: another output of a failure is a conflict", "was accepted"},
	"takes no failure for the same":             {"settling: the same failure again is answered as the first time", "so 200 is wanted: 400"},
	"loses the output of a failure":             {"settling: a failure with a reason is answered with the execution", "the waiting side received {}"},
	"hands null on":                             {"settling: a failure with null as output is answered with the execution", "the waiting side received null"},
	"settles with a failure what waits no more": {"settling: a cancelled state is not found", "was accepted"},
	"hands on what it refuses as a conflict":    {"settling: another output is a conflict", "the waiting side received"},
	"loses long outputs":                        {"settling: every digit and character of the output arrives", "the waiting side received {}"},
	"drops __proto__":                           {"settling: every digit and character of the output arrives", "the waiting side received"},
	"loses the sign of zero":                    {"settling: every digit and character of the output arrives", "the waiting side received"},
	"composes characters":                       {"settling: every digit and character of the output arrives", "the waiting side received"},
	"answers the loser of a race with 500":      {"settling: of two outcomes that race, one wins", "the outcome that lost: 400 with FLOWCALLBACK.CONFLICT is wanted: 500"},
	"answers the loser of a race with 404":      {"settling: of two outcomes that race, one wins", "the outcome that lost: 400 with FLOWCALLBACK.CONFLICT is wanted: 404"},
	"answers 200 and settles nothing":           {"settling: a success is answered with the execution", "the waiting side received nothing"},
	"answers a success without the execution":   {"settling: a success is answered with the execution", "breaks the contract"},
	"names the execution in another member":     {"settling: a success is answered with the execution", "execution_id"},
	"answers a success with 202":                {"settling: a success is answered with the execution", "so 200 is wanted: 202"},
	"answers a success with 204":                {"settling: a success is answered with the execution", "so 200 is wanted: 204"},
	"answers errors without a message":          {"document: is not JSON", "error_msg"},
	"has no request id":                         {"document: is not JSON", "X-Request-Id"},
	"redirects":                                 {"header: X-Workflow-Run-Id is left out", "a redirect to /login"},
	"accepts longer paths":                      {"request: the path has another segment", "as a callback for an unknown state"},
	"accepts GET":                               {"request: the method is GET", "as a callback for an unknown state"},
	"answers HEAD with 200":                     {"request: the method is HEAD", "it was carried out"},
	"accepts PUT":                               {"request: the method is PUT", "as a callback for an unknown state"},
	"accepts PATCH":                             {"request: the method is PATCH", "as a callback for an unknown state"},
	"accepts DELETE":                            {"request: the method is DELETE", "as a callback for an unknown state"},
	"counts bytes in ids":                       {"path: workflow_id has its greatest length", "the contract counts code points"},
	"accepts a longer project id":               {"path: project_id is one too long", "400 with FGS.3002 is wanted"},
	"accepts a longer workflow id":              {"path: workflow_id is one too long", "400 with FGS.3002 is wanted"},
	"does not need X-Workflow-Run-Id":           {"header: X-Workflow-Run-Id is left out", "400 with FGS.3002 is wanted"},
	"does not need X-Workflow-State-Id":         {"header: X-Workflow-State-Id is left out", "400 with FGS.3002 is wanted"},
	"fails without Content-Type":                {"request: Content-Type is left out", "the server failed: 500"},
	"accepts any Content-Type":                  {"request: Content-Type is text/plain", "as a callback for an unknown state"},
	"refuses a charset":                         {"request: Content-Type names the charset", "404 is wanted"},
	"accepts bytes that are not UTF-8":          {"document: has output that is not UTF-8", "400 with FGS.3002 is wanted"},
	"accepts a byte order mark":                 {"document: begins with a byte order mark", "400 with FGS.3002 is wanted"},
	"accepts a lone surrogate":                  {"document: has a lone surrogate", "400 with FGS.3002 is wanted"},
	"accepts a body that is no object":          {"document: is an array", "400 with FGS.3002 is wanted"},
	"reads the first of two documents":          {"document: is two documents", "400 with FGS.3002 is wanted"},
	"accepts a member twice":                    {"document: has a member twice in output", "400 with FGS.3002 is wanted"},
	"refuses members that it does not know":     {"document: has undeclared members", "is allowed, and was refused"},
	"reads members in any case":                 {"body: result is spelled in capitals", "400 with FGS.3002 is wanted"},
	"accepts any result":                        {"body: result is success and more", "400 with FGS.3002 is wanted"},
	"reads results in any case":                 {"body: result is success in capitals", "400 with FGS.3002 is wanted"},
	"has success as the default":                {"body: result is left out", "400 with FGS.3002 is wanted"},
	"counts bytes in the reason":                {"body: error has its greatest length", "the contract counts code points"},
	"has a shorter limit for the reason":        {"body: error has its greatest length", "is allowed"},
	"accepts a reason of any type":              {"body: error is a number", "400 with FGS.3002 is wanted"},
	"cuts a long reason":                        {"body: error is one too long", "400 with FGS.3002 is wanted"},
	"accepts an empty reason":                   {"body: error is one too short", "400 with FGS.3002 is wanted"},
	"does not need output":                      {"body: output is left out", "400 with FGS.3002 is wanted"},
	"does not need output of a failure":         {"document: is a failure that leaves output out", "400 with FGS.3002 is wanted"},
	"refuses null of a failure":                 {"settling: a failure with null as output is answered with the execution", "so 200 is wanted: 400"},
	"accepts null of a success":                 {"document: is a success without output", "400 with FGS.3002 is wanted"},
	"accepts any output":                        {"body: output is an array", "400 with FGS.3002 is wanted"},
	"nests less deeply":                         {"document: nests as deep as it may", "is allowed, and was refused"},
	"nests without an end":                      {"document: nests one level too deep", "400 with FGS.3002 is wanted"},
	"reads numbers as floats":                   {"settling: every digit and character of the output arrives", "so 200 is wanted"},
	"compares outputs as text":                  {"settling: the same outcome again is answered as the first time", "so 200 is wanted: 400"},
	"compares results only":                     {"settling: another output is a conflict", "was accepted"},
	"lets both of two that race win":            {"settling: of two outcomes that race, one wins", "exactly one wins"},
	"answers unknown states with 400":           {"document: has white space around it", "is allowed, and was refused"},
	"finds no state":                            {"settling: a success is answered with the execution", "the state waits, and was not found"},
	"settles expired states":                    {"settling: an expired state is not found", "was accepted"},
	"does not say that a state has expired":     {"settling: an expired state is not found", "FLOWCALLBACK.EXPIRED is wanted"},
	"settles cancelled states":                  {"settling: a cancelled state is not found", "was accepted"},
	"refuses a repeat":                          {"settling: the same outcome again is answered as the first time", "so 200 is wanted: 400"},
	"answers a repeat with another execution":   {"settling: the same outcome again is answered as the first time", "the same outcome again has the execution"},
	"overwrites an outcome":                     {"settling: another result is a conflict", "was accepted"},
	"answers a conflict with 409":               {"settling: another result is a conflict", "400 with FLOWCALLBACK.CONFLICT is wanted: 409"},
	"answers a conflict as settled":             {"settling: another result is a conflict", "was accepted"},
	"settles with what it refuses":              {"settling: a success is answered with the execution", "so 200 is wanted: 400"},
	"loses the output":                          {"settling: every digit and character of the output arrives", "the waiting side received"},
	"drops null":                                {"settling: every digit and character of the output arrives", "the waiting side received"},
}

// Every fault is found by the case that is made for it, and the result says what is wrong and how to send it again.
func TestEveryFaultIsFound(t *testing.T) {
	if len(faults) < 54 {
		t.Errorf("there are %d faults, want 54", len(faults))
	}
	table := "# What the conformance tests find\n\nMade by `go test ./client/conformance -update`, from a server that has a switch for each fault.\n\n| a server that | fails the case | with |\n|---|---|---|\n"
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		table += fmt.Sprintf("| %s | %s | … %s … |\n", fault, faults[fault][0], faults[fault][1])
	}
	const file = "FAULTS.md"
	if *update {
		if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != table {
		t.Errorf("%s is not up to date (%v); \"go test -update\" writes it", file, err)
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Run(fault, func(t *testing.T) {
			results, err := (&server{fault: fault}).run(t, false)
			if err != nil {
				t.Fatal(err)
			}
			found := results[faults[fault][0]]
			if found.Err == nil || !strings.Contains(found.Err.Error(), faults[fault][1]) || !strings.HasPrefix(found.Curl, "curl ") {
				t.Errorf("case %q: %v, with %s; want an error with %q", faults[fault][0], found.Err, found.Curl, faults[fault][1])
			}
		})
	}
}

// Servers without a fault pass, whatever the contract leaves open.
func TestNoFalseAlarm(t *testing.T) {
	for name, s := range map[string]*server{"plain": {}, "below a prefix": {prefix: "/flows"}, "holds callbacks": {holds: true}} {
		results, err := s.run(t, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, r := range results {
			if r.Err != nil || r.Skipped != "" && !s.holds {
				t.Errorf("%s: %s: %s: %v %s", name, r.Group, r.Name, r.Err, r.Skipped)
			}
		}
	}
}
