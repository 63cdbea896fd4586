package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// settlingCases are about states that wait.
func (l *caseList) settlingCases() {
	add := func(name string, test func(s *settling) error) {
		l.cases = append(l.cases, Case{Group: "settling", Name: name, Allowed: true, settle: func(ctx context.Context, r *runner) error {
			state, err := r.options.Open(ctx)
			if err != nil {
				return sourceError{err}
			}
			return test(&settling{ctx, r, l, state})
		}})
	}
	for _, e := range []struct{ name, body string }{
		{"a success is answered with the execution", success},
		{"a success without output members is answered with the execution", `{"result":"success","output":{}}`},
		{"a failure with a reason is answered with the execution", `{"result":"fail","error":"payment declined","output":{"tries":3}}`},
		{"a failure with null as output is answered with the execution", `{"result":"fail","output":null}`},
	} {
		add(e.name, func(s *settling) error {
			_, err := s.settle(e.body)
			return err
		})
	}
	add("every digit and character of the output arrives", func(s *settling) error {
		if s.r.options.Received == nil {
			return skip("the waiting side cannot be read here")
		}
		const output = `{"big":12345678901234567890123456789,"small":0.1000000000000000055511151231257827,"one":1.0,"huge":1e400,"text":"é😀\u0000 \"\\","deep":[[{"a":null}]]}`
		if _, err := s.settle(`{"result":"success","output":` + output + `}`); err != nil {
			return err
		}
		got, err := s.r.options.Received(s.ctx, s.state)
		if err != nil {
			return sourceError{err}
		}
		if !bytes.Equal(canonical(got), canonical([]byte(output))) {
			return fmt.Errorf("the waiting side received %s, and %s was sent", got, output)
		}
		return nil
	})
	add("the same outcome again is answered as the first time", func(s *settling) error {
		first, err := s.settle(`{"result":"success","output":{"a":1,"b":[1.50,{"c":"é"}]}}`)
		if err != nil {
			return err
		}
		again, err := s.settle("{ \"output\": {\"b\":[1.50,{\"c\":\"\\u00e9\"}], \"a\":1},\n\"result\":\"success\"}")
		if err == nil && again != first {
			err = fmt.Errorf("the same outcome again has the execution %q, and the first had %q", again, first)
		}
		return err
	})
	for _, e := range []struct{ name, body string }{
		{"another result is a conflict", `{"result":"fail","error":"no","output":{"a":1}}`},
		{"another output is a conflict", `{"result":"success","output":{"a":2}}`},
		{"a number with other digits is a conflict", `{"result":"success","output":{"a":1.0}}`},
	} {
		add(e.name, func(s *settling) error {
			first, err := s.settle(success)
			if err == nil {
				err = s.refused(e.body, http.StatusBadRequest, callback.CodeConflict)
			}
			if err != nil {
				return err
			}
			again, err := s.settle(success)
			switch {
			case err != nil:
				return fmt.Errorf("the first outcome again, after a conflict: %w", err)
			case again != first:
				return fmt.Errorf("after a conflict the first outcome is answered with the execution %q; want %q", again, first)
			}
			return nil
		})
	}
	add("of two outcomes that race, one wins", func(s *settling) error {
		bodies := []string{success, `{"result":"fail","error":"no","output":{}}`}
		type result struct {
			answer
			err error
		}
		results := make(chan result, len(bodies))
		for _, body := range bodies {
			go func() {
				r := *s.r // with a last request of its own
				a, err := r.send(s.ctx, s.request(body))
				results <- result{a, err}
			}()
		}
		one, two := <-results, <-results
		switch {
		case one.err != nil || two.err != nil:
			return errors.Join(one.err, two.err)
		case (one.status == http.StatusOK) == (two.status == http.StatusOK):
			return fmt.Errorf("of two different outcomes exactly one wins: %v, and %v", one, two)
		}
		return nil
	})
	add("a refused callback changes nothing", func(s *settling) error {
		if err := s.refused(`{"result":"success","output":[]}`, http.StatusBadRequest, callback.CodeInvalid); err != nil {
			return err
		}
		_, err := s.settle(`{"result":"fail","error":"later","output":{}}`)
		return err
	})
	add("ids are compared byte for byte", func(s *settling) error {
		other := s.state
		if other.State = strings.ToLower(other.State); other.State == s.state.State {
			other.State = strings.ToUpper(other.State)
		}
		if other.State == s.state.State {
			return skip("the id of the state has no letters")
		}
		if s.r.holds {
			return skip("the server holds callbacks for unknown states")
		}
		if err := (&settling{s.ctx, s.r, s.l, other}).refused(`{"result":"fail","error":"another state","output":{}}`, http.StatusNotFound, callback.CodeNotFound); err != nil {
			return fmt.Errorf("the id of the state in another case: %w", err)
		}
		_, err := s.settle(success)
		return err
	})
	add("a cancelled state is not found", func(s *settling) error {
		if s.r.options.Cancel == nil {
			return skip("states cannot be cancelled here")
		}
		if err := s.r.options.Cancel(s.ctx, s.state); err != nil {
			return sourceError{err}
		}
		return s.refused(success, http.StatusNotFound, callback.CodeCancelled)
	})
	l.cases = append(l.cases, Case{Group: "settling", Name: "an expired state is not found", settle: func(ctx context.Context, r *runner) error {
		if r.options.Expired == nil {
			return skip("states with a short deadline cannot be opened here")
		}
		state, err := r.options.Expired(ctx)
		if err != nil {
			return sourceError{err}
		}
		return (&settling{ctx, r, l, state}).refused(success, http.StatusNotFound, callback.CodeExpired)
	}})
}

const success = `{"result":"success","output":{"a":1}}`

// settling is a test of one state.
type settling struct {
	ctx   context.Context
	r     *runner
	l     *caseList
	state State
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
	switch {
	case err != nil:
		return "", err
	case a.status == http.StatusNotFound:
		return "", fmt.Errorf("the state waits, and was not found: %v", a)
	case a.status != http.StatusOK:
		return "", fmt.Errorf("the state waits, so 200 is wanted: %v", a)
	case a.broken != nil:
		return "", fmt.Errorf("the response breaks the contract: %w: %v", a.broken, a)
	}
	var response callback.Response
	if err := json.Unmarshal(a.body, &response); err != nil {
		return "", err
	}
	return response.ExecutionID, nil
}

// refused sends an outcome that must be refused with a code.
func (s *settling) refused(body string, status int, code callback.ErrorCode) error {
	a, err := s.r.send(s.ctx, s.request(body))
	switch {
	case err != nil:
		return err
	case a.status == http.StatusOK:
		return fmt.Errorf("%s was accepted; %d with %s is wanted", body, status, code)
	case a.status != status || a.code != code:
		return fmt.Errorf("%d with %s is wanted: %v", status, code, a)
	case a.broken != nil:
		return fmt.Errorf("the response breaks the contract: %w: %v", a.broken, a)
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
