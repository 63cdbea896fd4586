package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/client/conformance"
)

// conformanceOptions returns where the states come from that the flags name.
func (a *app) conformanceOptions(f conformanceFlags) (conformance.Options, error) {
	options := conformance.Options{
		ProjectID: a.projectID, Authenticate: a.authenticate, Timeout: a.attempt, Retry: cmp.Or(a.retry, -1), Strict: f.strict,
		Waiting: func(pause time.Duration, because string) {
			fmt.Fprintf(a.stderr, "flowcallback: %s: %s; waiting %s\n", a.endpoint, because, pause.Round(time.Second))
		},
	}
	if a.caCertificate != "" {
		transport, err := trusting(a.caCertificate)
		if err != nil {
			return options, fmt.Errorf("%w: --cacert: %w", errUsage, err)
		}
		options.Transport = transport
	}
	sources := 0
	for _, given := range []bool{f.waits, f.openWith != "", f.states != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		return options, fmt.Errorf("%w: give one of --waits, --open-with and --states", errUsage)
	case f.waits:
		return options, a.statesOfWaits(&options)
	case f.openWith != "":
		options.Open = func(ctx context.Context) (conformance.State, error) { return openWith(ctx, f.openWith, a.attempt) }
	case f.states != "":
		states, err := readStates(f.states)
		if err != nil {
			return options, err
		}
		options.IsKnown = func(s conformance.State) bool { return slices.Contains(states, s) }
		options.Open = func(context.Context) (conformance.State, error) {
			if len(states) == 0 {
				return conformance.State{}, conformance.ErrNoState
			}
			state := states[0]
			states = states[1:]
			return state, nil
		}
	}
	return options, nil
}

// readStates returns the states in a file.
func readStates(path string) (states []conformance.State, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: --states: %w", errUsage, err)
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		state, err := readState(line)
		if err != nil {
			return nil, fmt.Errorf("%w: --states %s, line %d: %w", errUsage, path, number, err)
		}
		state.WaitID = "" // nothing here reads or cancels a wait
		if slices.Contains(states, state) {
			return nil, fmt.Errorf("%w: --states %s, line %d: the state is there twice; each case needs one of its own", errUsage, path, number)
		}
		states = append(states, state)
	}
	if len(states) == 0 {
		return nil, fmt.Errorf("%w: --states %s: there is no state in it", errUsage, path)
	}
	return states, nil
}

// openWith returns the state that a command opens within a time.
func openWith(ctx context.Context, command string, within time.Duration) (conformance.State, error) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	shell := exec.CommandContext(limited, "sh", "-c", command)
	shell.WaitDelay = time.Second // for what the command has started
	var problem bytes.Buffer
	shell.Stderr = &problem
	output, err := shell.Output()
	switch {
	case ctx.Err() != nil:
		return conformance.State{}, ctx.Err()
	case limited.Err() != nil:
		return conformance.State{}, fmt.Errorf("--open-with: the command has not ended within %s (--attempt-timeout)", within)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // something that it has started still runs
		return conformance.State{}, fmt.Errorf("--open-with: the command: %w: it printed %q", err, bytes.TrimSpace(problem.Bytes()))
	}
	state, err := readState(output)
	if err != nil {
		err = fmt.Errorf("--open-with: the command printed %w", err)
	}
	return state, err
}

// readState reads a state as JSON.
func readState(text []byte) (state conformance.State, err error) {
	err = json.Unmarshal(text, &state)
	switch {
	case err == nil && !utf8.Valid(text):
		err = errors.New("it is not UTF-8")
	case err == nil && (state.Workflow == "" || state.Run == "" || state.State == ""):
		err = errors.New("an id is missing")
	}
	if err != nil {
		err = fmt.Errorf(`%.200q: %w; want an object {"workflow_id":…,"run_id":…,"state_id":…}`, text, err)
	}
	return state, err
}

// statesOfWaits opens, reads and cancels states with this project's API.
func (a *app) statesOfWaits(options *conformance.Options) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	open := func(ctx context.Context, timeout time.Duration) (conformance.State, error) {
		key := client.State{Workflow: "conformance é+", Run: "Run-" + rand.Text(), State: "State-" + rand.Text()}
		wait, err := c.Waits.Open(ctx, key, client.OpenOptions{Timeout: timeout, Title: "A test of flowcallback conformance"})
		if response := (&client.Error{}); errors.As(err, &response) && response.StatusCode == http.StatusNotFound {
			err = fmt.Errorf("%w: --waits: this server has no API for waits (%s); use --open-with or --states", errUsage, plain(response.Error()))
		}
		return conformance.State{Workflow: key.Workflow, Run: key.Run, State: key.State, WaitID: wait.WaitID}, err
	}
	options.Open = func(ctx context.Context) (conformance.State, error) { return open(ctx, time.Hour) }
	options.Expired = func(ctx context.Context) (conformance.State, error) {
		state, err := open(ctx, time.Second)
		if err == nil {
			_, err = c.Waits.Await(ctx, state.WaitID)
		}
		if errors.Is(err, client.ErrExpired) {
			err = nil
		}
		return state, err
	}
	options.Cancel = func(ctx context.Context, s conformance.State) error {
		return c.Waits.Cancel(ctx, s.WaitID, "conformance")
	}
	options.Received = func(ctx context.Context, s conformance.State) (*conformance.Outcome, error) {
		wait, err := c.Waits.Get(ctx, s.WaitID)
		if err != nil || wait.Outcome == nil {
			return nil, err
		}
		return &conformance.Outcome{Result: string(wait.Outcome.Result), Error: wait.Outcome.Error, Output: wait.Outcome.Output}, nil
	}
	return nil
}
