package temporal_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/temporal"
)

func TestLocations(t *testing.T) {
	for location, fine := range map[string]bool{
		"temporal://localhost:7233":              true,
		"temporal://127.0.0.1:7233/default":      true,
		"temporal://[::1]:7233/a.b-c":            true,
		"temporal://localhost":                   false,
		"temporal://:7233":                       false,
		"temporal:localhost:7233":                false,
		"temporal://localhost:7233/a/b":          false,
		"temporal://user:secret@localhost:7233/": false,
		"temporal://localhost:7233/?tls=true":    false,
		"http://localhost:7233":                  false,
	} {
		e, err := temporal.Open(location, temporal.Options{})
		if (err == nil) != fine {
			t.Errorf("Open(%s): %v, want accepted %t", location, err, fine)
		}
		if err == nil {
			_ = e.Close()
		}
	}
}

// If Temporal is unreachable, calls return ErrUnavailable within the timeout.
func TestAway(t *testing.T) {
	e, err := temporal.Open("temporal://127.0.0.1:1", temporal.Options{Timeout: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Ready: %v, want %v", err, engine.ErrUnavailable)
	}
	key := engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "00000000-0000-4000-8000-000000000000", StateID: "s"}
	if _, err := e.Callback(t.Context(), engine.Callback{Key: key, Request: enginetest.Success(`{}`)}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Callback: %v, want %v", err, engine.ErrUnavailable)
	}
}

// Temporary errors of Temporal become ErrUnavailable or ErrOverloaded, so that clients retry.
// Errors that an operator must fix do not.
func TestRefusals(t *testing.T) {
	for err, want := range map[error]error{
		serviceerror.NewUnavailable("away"):                                                   engine.ErrUnavailable,
		serviceerror.NewDeadlineExceeded("late"):                                              engine.ErrUnavailable,
		serviceerror.NewInternal("internal"):                                                  engine.ErrUnavailable,
		serviceerror.NewCanceled("the client connection is closing"):                          engine.ErrUnavailable,
		serviceerror.NewNamespaceNotActive("namespace", "this", "that"):                       engine.ErrUnavailable,
		serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "much"): engine.ErrOverloaded,
		serviceerror.NewNamespaceNotFound("namespace"):                                        engine.ErrNotFound,
		context.DeadlineExceeded:                                                              engine.ErrUnavailable,
	} {
		if got := temporal.Refusal(err); !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("refusal of %T: %v, want %v", err, got, want)
		}
	}
	denied := serviceerror.NewPermissionDenied("denied", "")
	if got := temporal.Refusal(denied); errors.Is(got, engine.ErrUnavailable) || !errors.Is(got, denied) {
		t.Errorf("refusal of %T: %v, want the error unchanged", denied, got)
	}
}

// The namespace comes from the location, or else from Temporal's own configuration.
func TestNamespace(t *testing.T) {
	namespace := func(location string) string {
		e, err := temporal.Open(location, temporal.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		return e.Namespace()
	}
	t.Setenv("TEMPORAL_CONFIG_FILE", "/dev/null")
	if got := namespace("temporal://127.0.0.1:7233"); got != "" {
		t.Errorf("namespace without configuration: %q, want none", got)
	}
	t.Setenv("TEMPORAL_NAMESPACE", "orders")
	if got := namespace("temporal://127.0.0.1:7233"); got != "orders" {
		t.Errorf("namespace of TEMPORAL_NAMESPACE: %q, want orders", got)
	}
	if got := namespace("temporal://127.0.0.1:7233/default"); got != "default" {
		t.Errorf("namespace of the location: %q, want default", got)
	}
}
