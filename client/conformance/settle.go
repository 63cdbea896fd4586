package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// settling is a try of a case with one state.
type settling struct {
	ctx       context.Context
	r         *runner
	c         Case
	state     State
	execution string // of the first answer with 200
}

// settle tries a case about states.
func (r *runner) settle(ctx context.Context, c Case) error {
	if why := r.lacks(c); why != "" {
		return skip(why)
	}
	for round := range max(c.Rounds, 1) {
		state, err := r.state(ctx, c.State)
		switch {
		case errors.Is(err, ErrNoState) && round > 0:
			return nil
		case errors.Is(err, ErrNoState):
			return skip(noState)
		case err != nil:
			return err
		}
		q, _ := c.callbackTo(state, nil, success)
		if err := r.check(ctx, q); err != nil {
			return sourceError{fmt.Errorf("a state with ids that the contract does not allow: %w", err)}
		}
		s := settling{ctx: ctx, r: r, c: c, state: state}
		for _, step := range c.Steps {
			if err := s.do(step); err != nil {
				return err
			}
		}
	}
	return nil
}

const noState = "there is no state that waits"

// lacks returns why a case cannot be tried. No state is used up then.
func (r *runner) lacks(c Case) string {
	switch {
	case r.options.Open == nil:
		return noState
	case c.State == Expired && r.options.Expired == nil:
		return "states with a short deadline cannot be opened here"
	case c.MustRead && r.options.Received == nil:
		return "the waiting side cannot be read here"
	}
	for _, step := range c.Steps {
		switch {
		case step.Cancel && r.options.Cancel == nil:
			return "states cannot be cancelled here"
		case step.Vary != nil && r.holds:
			return "the server holds callbacks for unknown states"
		}
	}
	return ""
}

// state returns a state that no case has used.
func (r *runner) state(ctx context.Context, status Status) (State, error) {
	open := r.options.Open
	if status == Expired {
		open = r.options.Expired
	}
	state, err := open(ctx)
	if err != nil {
		return state, sourceError{err}
	}
	key := State{Workflow: state.Workflow, Run: state.Run, State: state.State}
	if r.opened[key] {
		return state, sourceError{fmt.Errorf("the state %s of the run %s was given before; each case needs a state of its own", state.State, state.Run)}
	}
	r.opened[key] = true
	return state, nil
}

// do does a step.
func (s *settling) do(step Step) error {
	switch {
	case step.Cancel:
		if err := s.r.options.Cancel(s.ctx, s.state); err != nil {
			return sourceError{err}
		}
		return nil
	case step.Arrived != "":
		return s.arrived(step.Arrived)
	case len(step.Send) > 1:
		return s.race(step)
	}
	q, exists := s.c.callbackTo(s.state, step.Vary, step.Send[0])
	if !exists {
		return nil
	}
	a, err := s.r.send(s.ctx, q)
	if err != nil {
		return err
	}
	err = s.judge(step, a)
	if err != nil && step.Vary != nil {
		err = fmt.Errorf("%s %s: %w", step.Vary.ID, step.Vary.How, err)
	}
	return err
}

// judge returns what is wrong with the answer to the callback of a step.
func (s *settling) judge(step Step, a answer) error {
	switch {
	case step.AnyRefusal && (a.status < http.StatusBadRequest || a.status >= http.StatusInternalServerError):
		return fmt.Errorf("the state must not be found: %v", a)
	case step.AnyRefusal:
		return nil
	case step.Status != http.StatusOK:
		return a.isRefusal(step.Send[0], step.Status, step.Code)
	}
	why := "the state waits"
	if step.Again {
		why = "this is the same outcome again"
	}
	execution, err := a.execution(why)
	switch {
	case err != nil:
		return err
	case step.Again && execution != s.execution:
		return fmt.Errorf("the same outcome again has the execution %q, and the first had %q", execution, s.execution)
	}
	s.execution = execution
	return nil
}

// race sends two outcomes at once.
func (s *settling) race(step Step) error {
	type result struct {
		answer
		body string
		err  error
	}
	atOnce := func(requests map[string]request) (won, lost result) {
		results := make(chan result, len(requests))
		for body, q := range requests {
			go func() {
				r := *s.r // with a last request of its own
				a, err := r.send(s.ctx, q)
				results <- result{a, body, err}
			}()
		}
		won, lost = <-results, <-results
		if won.status != http.StatusOK {
			won, lost = lost, won
		}
		return won, lost
	}
	requests, unknown := map[string]request{}, map[string]request{}
	for _, body := range step.Send {
		requests[body], _ = s.c.callbackTo(s.state, nil, body)
		unknown[body], _ = s.c.callbackTo(State{Workflow: unknownID(), Run: unknownID(), State: unknownID()}, nil, body)
	}
	if one, two := atOnce(unknown); one.err != nil || two.err != nil { // connects twice, which would take longer than the race
		return errors.Join(one.err, two.err)
	}
	won, lost := atOnce(requests)
	s.r.curl = won.curl + "\n" + lost.curl
	switch {
	case won.err != nil || lost.err != nil:
		return errors.Join(won.err, lost.err)
	case won.status == http.StatusNotFound && lost.status == http.StatusNotFound:
		return fmt.Errorf("the state waits, and was not found: %v", won)
	case (won.status == http.StatusOK) == (lost.status == http.StatusOK):
		return fmt.Errorf("of two different outcomes exactly one wins: %v, and %v", won, lost)
	}
	if err := lost.isRefusal(lost.body, http.StatusBadRequest, step.Code); err != nil {
		return fmt.Errorf("the outcome that lost: %w", err)
	}
	if err := s.judge(settles(won.body), won.answer); err != nil {
		return err
	}
	if err := s.do(again(won.body)); err != nil {
		return fmt.Errorf("the outcome that won, again: %w", err)
	}
	return s.arrived(won.body)
}

// execution returns the execution of an answer that must be a success.
func (a answer) execution(why string) (id string, err error) {
	switch {
	case a.status == http.StatusNotFound:
		return "", fmt.Errorf("%s, and was not found: %v", why, a)
	case a.status != http.StatusOK:
		return "", fmt.Errorf("%s, so 200 is wanted: %v", why, a)
	case a.broken != nil:
		return "", fmt.Errorf("the response breaks the contract: %w: %v", a.broken, a)
	}
	var response callback.Response
	err = json.Unmarshal(a.body, &response)
	return response.ExecutionID, err
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
