package temporal_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

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
			t.Errorf("Open(%s): %v, want fine %t", location, err, fine)
		}
		if err == nil {
			_ = e.Close()
		}
	}
}

// Where nothing answers, calls are refused in the time that they have, as unavailable.
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
	if _, err := e.Callback(t.Context(), key, enginetest.Success(`{}`)); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Callback: %v, want %v", err, engine.ErrUnavailable)
	}
}
