package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/gen/callback"
)

const (
	success = `{"result":"success","output":{"a":1}}`
	fail    = `{"result":"fail","error":"payment declined","output":{"a":1}}`
	other   = `{"result":"fail","error":"another outcome","output":{}}`
)

// settlingCases are about states that wait.
func (l *caseList) settlingCases() {
	for _, e := range []struct{ name, body string }{
		{"a success is answered with the execution", success},
		{"a success without output members is answered with the execution", `{"result":"success","output":{}}`},
		{"a failure with a reason is answered with the execution", fail},
		{"a failure with null as output is answered with the execution", `{"result":"fail","output":null}`},
	} {
		l.settling(e.name, nothing, func(s *settling) error {
			return s.settleAndRead(e.body)
		})
	}
	l.settling("every digit and character of the output arrives", readable, func(s *settling) error {
		body := `{"result":"success","output":{"big":12345678901234567890123456789,"small":0.1000000000000000055511151231257827,"one":1.0,` +
			`"zero":-0,"huge":1e400,"text":"é😀\u0000 \"\\","decomposed":"e\u0301","__proto__":{"a":1},"":"unnamed","deep":[[{"a":null}]],` +
			`"long":"` + strings.Repeat("long ", 2000) + `"}}`
		return s.settleAndRead(body)
	})
	l.repeatCases()
	l.conflictCases()
	l.settling("of two outcomes that race, one wins", nothing, race)
	l.settling("a refused callback changes nothing", nothing, func(s *settling) error {
		if err := s.refused(`{"result":"success","output":[]}`, http.StatusBadRequest, callback.CodeInvalid); err != nil {
			return err
		}
		return s.settleAndRead(fail)
	})
	l.idCases()
	cancellable := func(r *runner) string {
		if r.options.Cancel == nil {
			return "states cannot be cancelled here"
		}
		return ""
	}
	l.settling("a cancelled state is not found", cancellable, func(s *settling) error {
		if err := s.r.options.Cancel(s.ctx, s.state); err != nil {
			return sourceError{err}
		}
		return s.isOver(callback.CodeCancelled)
	})
	l.cases = append(l.cases, Case{Group: "settling", Name: "an expired state is not found", Allowed: true, settle: func(ctx context.Context, r *runner) error {
		if r.options.Expired == nil {
			return skip("states with a short deadline cannot be opened here")
		}
		state, err := r.options.Expired(ctx)
		if err != nil {
			return sourceError{err}
		}
		return (&settling{ctx, r, l, state}).isOver(callback.CodeExpired)
	}})
}

// repeatCases send an outcome again, in other words.
func (l *caseList) repeatCases() {
	for _, e := range []struct{ name, first, again string }{
		{"the same outcome again is answered as the first time", `{"result":"success","output":{"a":1,"b":[1.50,{"c":"é"}]}}`, "{ \"output\": {\"b\":[1.50,{\"c\":\"\\u00e9\"}], \"a\":1},\n\"result\":\"success\"}"},
		{"the same failure again is answered as the first time", fail, fail},
		{"null and {} are the same output of a failure", `{"result":"fail","output":null}`, `{"result":"fail","output":{}}`},
	} {
		l.settling(e.name, nothing, func(s *settling) error {
			first, err := s.settle(e.first)
			if err != nil {
				return err
			}
			if err := s.repeat(e.again, first); err != nil {
				return err
			}
			return s.arrived(e.first)
		})
	}
}

// conflictCases send another outcome to a settled state. It changes nothing.
func (l *caseList) conflictCases() {
	for _, e := range []struct{ name, first, second string }{
		{"another result is a conflict", success, other},
		{"another output is a conflict", success, `{"result":"success","output":{"a":2}}`},
		{"a number with other digits is a conflict", success, `{"result":"success","output":{"a":1.0}}`},
		{"a success after a failure is a conflict", fail, success},
		{"another output of a failure is a conflict", fail, `{"result":"fail","error":"payment declined","output":{"a":2}}`},
		{"another reason is a conflict", fail, `{"result":"fail","error":"no money","output":{"a":1}}`},
		{"a failure without its reason is a conflict", fail, `{"result":"fail","output":{"a":1}}`},
	} {
		l.settling(e.name, nothing, func(s *settling) error {
			first, err := s.settle(e.first)
			if err == nil {
				err = s.refused(e.second, http.StatusBadRequest, callback.CodeConflict)
			}
			if err != nil {
				return err
			}
			if err := s.repeat(e.first, first); err != nil {
				return fmt.Errorf("the first outcome again, after a conflict: %w", err)
			}
			return s.arrived(e.first)
		})
	}
}

// race sends two outcomes at once.
func race(s *settling) error {
	type result struct {
		answer
		body string
		err  error
	}
	bodies := []string{success, other}
	results := make(chan result, len(bodies))
	for _, body := range bodies {
		go func() {
			r := *s.r // with a last request of its own
			a, err := r.send(s.ctx, s.request(body))
			results <- result{a, body, err}
		}()
	}
	won, lost := <-results, <-results
	if won.status != http.StatusOK {
		won, lost = lost, won
	}
	s.r.curl = won.curl + "\n" + lost.curl
	switch {
	case won.err != nil || lost.err != nil:
		return errors.Join(won.err, lost.err)
	case won.status == http.StatusNotFound && lost.status == http.StatusNotFound:
		return fmt.Errorf("the state waits, and was not found: %v", won)
	case (won.status == http.StatusOK) == (lost.status == http.StatusOK):
		return fmt.Errorf("of two different outcomes exactly one wins: %v, and %v", won, lost)
	}
	if err := lost.isRefusal(lost.body, http.StatusBadRequest, callback.CodeConflict); err != nil {
		return fmt.Errorf("the outcome that lost: %w", err)
	}
	first, err := won.execution()
	if err != nil {
		return err
	}
	if err := s.repeat(won.body, first); err != nil {
		return fmt.Errorf("the outcome that won, again: %w", err)
	}
	return s.arrived(won.body)
}

// idCases call back with ids that differ a little from those of a state that waits.
func (l *caseList) idCases() {
	unknownAreRefused := func(r *runner) string {
		if r.holds {
			return "the server holds callbacks for unknown states"
		}
		return ""
	}
	l.settling("the state belongs to its project", unknownAreRefused, otherProject)
	for _, e := range []struct {
		name string
		id   func(*State) *string
	}{
		{"workflow", func(s *State) *string { return &s.Workflow }},
		{"run", func(s *State) *string { return &s.Run }},
		{"state", func(s *State) *string { return &s.State }},
	} {
		l.settling("the id of the "+e.name+" is compared byte for byte", unknownAreRefused, func(s *settling) error {
			id := *e.id(&s.state)
			last := "x"
			if strings.HasSuffix(id, last) {
				last = "y"
			}
			_, size := utf8.DecodeLastRuneInString(id)
			others := map[string]string{"in small letters": strings.ToLower(id), "in capitals": strings.ToUpper(id), "with another last letter": id[:len(id)-size] + last}
			if e.name == "workflow" { // HTTP trims headers
				others["with a space behind it"] = id + " "
			}
			for how, another := range others {
				if another == id {
					continue
				}
				changed := *s
				*e.id(&changed.state) = another
				if err := changed.refused(other, http.StatusNotFound, callback.CodeNotFound); err != nil {
					return fmt.Errorf("the id of the %s %s: %w", e.name, how, err)
				}
			}
			_, err := s.settle(success)
			return err
		})
	}
}

// otherProject calls back a state under another project, which may be forbidden, and must not settle it.
func otherProject(s *settling) error {
	q := s.request(other)
	q.path = strings.Replace(q.path, "/v2/", "/v2/another-", 1)
	a, err := s.r.send(s.ctx, q)
	switch {
	case err != nil:
		return err
	case a.status < http.StatusBadRequest || a.status >= http.StatusInternalServerError:
		return fmt.Errorf("under another project the state must not be found: %v", a)
	}
	return s.settleAndRead(success)
}

// settling is a test of one state.
type settling struct {
	ctx   context.Context
	r     *runner
	l     *caseList
	state State
}

// settling adds a case about a state. needs says why it cannot be tried; a state is then not used up.
func (l *caseList) settling(name string, needs func(*runner) string, test func(*settling) error) {
	l.cases = append(l.cases, Case{Group: "settling", Name: name, Allowed: true, settle: func(ctx context.Context, r *runner) error {
		if why := needs(r); why != "" {
			return skip(why)
		}
		state, err := r.open(ctx)
		if err != nil {
			return err
		}
		return test(&settling{ctx, r, l, state})
	}})
}

func nothing(*runner) string { return "" }

func readable(r *runner) string {
	if r.options.Received == nil {
		return "the waiting side cannot be read here"
	}
	return ""
}

func (s *settling) request(body string) request {
	q, _ := s.l.valid()
	q.path = s.l.pathWith("workflow_id", s.state.Workflow)
	q.header.Set("X-Workflow-Run-Id", s.state.Run)
	q.header.Set("X-Workflow-State-Id", s.state.State)
	q.body = body
	return q
}

// settle sends an outcome that must be taken, and returns the execution.
func (s *settling) settle(body string) (executionID string, err error) {
	a, err := s.r.send(s.ctx, s.request(body))
	if err != nil {
		return "", err
	}
	return a.execution()
}

// settleAndRead sends an outcome that must be taken, and compares what the waiting side received.
func (s *settling) settleAndRead(body string) error {
	if _, err := s.settle(body); err != nil {
		return err
	}
	return s.arrived(body)
}

// repeat sends an outcome that must be answered with the execution of the first time.
func (s *settling) repeat(body, first string) error {
	again, err := s.settle(body)
	if err == nil && again != first {
		err = fmt.Errorf("the same outcome again has the execution %q, and the first had %q", again, first)
	}
	return err
}

// execution returns the execution of an answer that must be a success.
func (a answer) execution() (id string, err error) {
	switch {
	case a.status == http.StatusNotFound:
		return "", fmt.Errorf("the state waits, and was not found: %v", a)
	case a.status != http.StatusOK:
		return "", fmt.Errorf("the state waits, so 200 is wanted: %v", a)
	case a.broken != nil:
		return "", fmt.Errorf("the response breaks the contract: %w: %v", a.broken, a)
	}
	var response callback.Response
	err = json.Unmarshal(a.body, &response)
	return response.ExecutionID, err
}

// refused sends an outcome that must be refused with a code.
func (s *settling) refused(body string, status int, code callback.ErrorCode) error {
	a, err := s.r.send(s.ctx, s.request(body))
	if err != nil {
		return err
	}
	return a.isRefusal(body, status, code)
}

// isRefusal returns what is wrong with an answer that must be a refusal.
func (a answer) isRefusal(body string, status int, code callback.ErrorCode) error {
	switch {
	case a.status == http.StatusOK:
		return fmt.Errorf("%s was accepted; %d with %s is wanted", body, status, code)
	case a.status != status || a.code != code:
		return fmt.Errorf("%d with %s is wanted: %v", status, code, a)
	case a.broken != nil:
		return fmt.Errorf("the response breaks the contract: %w: %v", a.broken, a)
	}
	return nil
}

// isOver tries both results on a state that waits no more.
func (s *settling) isOver(code callback.ErrorCode) error {
	if err := s.refused(success, http.StatusNotFound, code); err != nil {
		return err
	}
	return s.refused(fail, http.StatusNotFound, code)
}

// arrived returns how what the waiting side received differs from the body that settled the state. It returns nil if the
// waiting side cannot be read.
func (s *settling) arrived(body string) error {
	if s.r.options.Received == nil {
		return nil
	}
	got, err := s.r.options.Received(s.ctx, s.state)
	switch {
	case err != nil:
		return sourceError{err}
	case got == nil:
		return errors.New("the waiting side received nothing")
	}
	var sent Outcome
	if err := json.Unmarshal([]byte(body), &sent); err != nil {
		return err
	}
	if string(sent.Output) == "null" {
		sent.Output = json.RawMessage("{}")
	}
	if got.Result != sent.Result || got.Error != sent.Error {
		return fmt.Errorf("the waiting side received %s with the error %q, and %s with %q was sent", got.Result, got.Error, sent.Result, sent.Error)
	}
	if !bytes.Equal(canonical(got.Output), canonical(sent.Output)) {
		return fmt.Errorf("the waiting side received %.600s, and %.600s was sent", got.Output, sent.Output)
	}
	return nil
}

// canonical returns JSON without white space, with sorted members and every digit.
func canonical(text []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return text
	}
	same, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return same
}
