package integration

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/client/conformance"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// Our server conforms, with its own promises, also if it holds callbacks for unknown states.
func TestOurServerConforms(t *testing.T) {
	for name, holds := range map[string]bool{"refusing unknown states": false, "holding callbacks": true} {
		t.Run(name, func(t *testing.T) {
			e, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waits.db"), sqlite.Options{HoldUnknown: holds})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			handler, err := server.New(e, server.Config{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewServer(handler)
			defer s.Close()
			cases, err := conformance.Cases("shop")
			if err != nil {
				t.Fatal(err)
			}
			options := statesOf(t, s.URL)
			if err := conformance.Run(t.Context(), s.URL, cases, options, func(r conformance.Result) {
				if r.Err != nil || r.Skipped != "" && !holds {
					t.Errorf("%s: %s: %v %s", r.Group, r.Name, r.Err, r.Skipped)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func statesOf(t *testing.T, url string) conformance.Options {
	t.Helper()
	c, err := client.New(url, "shop")
	if err != nil {
		t.Fatal(err)
	}
	open := func(ctx context.Context, timeout time.Duration) (conformance.State, error) {
		key := client.State{Workflow: "flow", Run: "Run-" + rand.Text(), State: "State-" + rand.Text()}
		wait, err := c.Waits.Open(ctx, key, client.OpenOptions{Timeout: timeout})
		return conformance.State{Workflow: key.Workflow, Run: key.Run, State: key.State, WaitID: wait.WaitID}, err
	}
	return conformance.Options{
		ProjectID: "shop", Strict: true,
		Open: func(ctx context.Context) (conformance.State, error) { return open(ctx, time.Hour) },
		Expired: func(ctx context.Context) (conformance.State, error) {
			state, err := open(ctx, time.Second)
			_, _ = c.Waits.Await(ctx, state.WaitID) // until it has expired
			return state, err
		},
		Cancel: func(ctx context.Context, s conformance.State) error { return c.Waits.Cancel(ctx, s.WaitID, "") },
		Received: func(ctx context.Context, s conformance.State) (*conformance.Outcome, error) {
			wait, err := c.Waits.Get(ctx, s.WaitID)
			if err != nil || wait.Outcome == nil {
				return nil, err
			}
			return &conformance.Outcome{Result: string(wait.Outcome.Result), Error: wait.Outcome.Error, Output: wait.Outcome.Output}, nil
		},
	}
}
