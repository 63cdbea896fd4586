package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// settling is a try of a case with one state.
type settling struct {
	ctx       context.Context
	r         *runner
	c         Case
	state     State
	execution string   // of the first answer with 200
	accepted  []string // callbacks for other states that were answered with 200
}

// settle tries a case about states.
func (r *runner) settle(ctx context.Context, c Case) error {
	if why := r.lacks(c); why != "" {
		return skip(why)
	}
	for round := range max(c.Rounds, 1) {
		state, err := r.state(ctx, c)
		switch {
		case errors.Is(err, ErrNoState) && round > 0:
			return nil
		case errors.Is(err, ErrNoState):
			return skip(NoState)
		case err != nil:
			return err
		}
		s := settling{ctx: ctx, r: r, c: c, state: state}
		for _, step := range c.Steps {
			if err := s.do(step); err != nil && len(s.accepted) > 0 {
				return fmt.Errorf("after a callback for another state was accepted (%s): %w", strings.Join(s.accepted, ", "), err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// lacks returns why a case cannot be tried. No state is used up then.
func (r *runner) lacks(c Case) string {
	switch {
	case r.options.Open == nil:
		return NoState
	case c.State == Expired && r.options.Expired == nil:
		return "states with a short deadline cannot be opened here"
	case c.MustRead && r.options.Received == nil:
		return "the waiting side cannot be read here"
	}
	for _, step := range c.Steps {
		if step.Cancel && r.options.Cancel == nil {
			return "states cannot be cancelled here"
		}
	}
	return ""
}

// state returns a state that no case has used.
func (r *runner) state(ctx context.Context, c Case) (State, error) {
	open := r.options.Open
	if c.State == Expired {
		open = r.options.Expired
	}
	state, err := open(ctx)
	if err != nil {
		return state, sourceError{err}
	}
	if r.opened[state.key()] {
		return state, sourceError{fmt.Errorf("the state %s of the run %s was given before; each case needs a state of its own", state.State, state.Run)}
	}
	r.opened[state.key()] = true
	if err := r.check(ctx, c.callbackTo(ids{r.project, state}, success)); err != nil {
		return state, sourceError{fmt.Errorf("a state with ids that cannot be called back: %w", err)}
	}
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
	to := ids{s.r.project, s.state}
	if step.Vary != nil {
		changed, isOther := step.Vary.change(to)
		if to = changed; !isOther || s.r.isKnown(to.State) && to.project == s.r.project || s.r.check(s.ctx, s.c.callbackTo(to, success)) != nil {
			return nil
		}
	}
	a, err := s.r.send(s.ctx, s.c.callbackTo(to, step.Send[0]))
	switch {
	case err != nil:
		return err
	case step.Vary != nil && a.status == http.StatusOK: // perhaps it is held; the next steps show whether this state is settled
		s.accepted = append(s.accepted, fmt.Sprintf("%s %s", step.Vary.ID, step.Vary.How))
		return nil
	case a.status == http.StatusRequestEntityTooLarge: // each server has a limit
		return skip(fmt.Sprintf("the server takes no body of %d bytes", len(step.Send[0])))
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

// race sends callbacks at once.
func (s *settling) race(step Step) error {
	unknown := State{Workflow: unknownID(), Run: unknownID(), State: unknownID()}
	if _, err := s.atOnce(unknown, step.Send); err != nil { // connects, which would take longer than the race
		return err
	}
	answers, err := s.atOnce(s.state, step.Send)
	if err != nil {
		return err
	}
	won := 0
	if answers[won].status != step.Status {
		won = 1
	}
	lost := answers[1-won]
	if err := s.judge(settles(step.Send[won]), answers[won]); err != nil {
		return err
	}
	switch {
	case step.Code == "":
		err = s.judge(again(step.Send[won]), lost)
	case lost.status == step.Status:
		err = fmt.Errorf("of two different outcomes exactly one wins: %v, and %v", answers[won], lost)
	default:
		err = lost.isRefusal(step.Send[1-won], http.StatusBadRequest, step.Code)
	}
	if err != nil {
		return fmt.Errorf("the other one: %w", err)
	}
	if err := s.do(again(step.Send[won])); err != nil {
		return fmt.Errorf("the outcome that won, again: %w", err)
	}
	return s.arrived(step.Send[won])
}

// atOnce sends two callbacks for a state at once, and returns their answers.
func (s *settling) atOnce(to State, bodies []string) ([]answer, error) {
	answers, errs := make([]answer, len(bodies)), make([]error, len(bodies))
	var sending sync.WaitGroup
	for i, body := range bodies {
		sending.Go(func() {
			r := *s.r // with a last request of its own
			answers[i], errs[i] = r.send(s.ctx, s.c.callbackTo(ids{s.r.project, to}, body))
		})
	}
	sending.Wait()
	s.r.curl = answers[0].curl + "\n" + answers[1].curl
	return answers, errors.Join(errs...)
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
