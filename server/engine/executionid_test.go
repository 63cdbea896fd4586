package engine_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/server/engine"
)

func TestExecutionID(t *testing.T) {
	longest := strings.Repeat("é", callback.ExecutionIDMaxLength)
	for _, runID := range []string{"r", "aa7d6479-141d-482f-b9bc-85b5cd14066b", longest} {
		if got := engine.ExecutionID(callback.RunID(runID)); got != runID {
			t.Errorf("ExecutionID(%q) = %q, want the run id", runID, got)
		}
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, runID := range []string{"", longest + "x"} {
		first, second := engine.ExecutionID(callback.RunID(runID)), engine.ExecutionID(callback.RunID(runID))
		if !uuid.MatchString(first) || first == second {
			t.Errorf("ExecutionID(%q) = %q, then %q; want two UUIDs", runID, first, second)
		}
	}
}
