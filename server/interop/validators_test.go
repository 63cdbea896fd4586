package interop_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// notInASchema are cases that a schema cannot say: the depth, names that differ from a declared one by case, and what the
// bytes of a body are before they are decoded.
var notInASchema = []string{
	"body: error is given in capitals, too", "body: error is given with a capital, too", "body: error is spelled in capitals",
	"body: output is given in capitals, too", "body: output is given with a capital, too",
	"body: result is given in capitals, too", "body: result is given with a capital, too",
	"document: has a lone surrogate", "document: has a lone surrogate in a name", "document: has a lone surrogate in output",
	"document: has a member twice", "document: has a member twice in output", "document: has output that is not UTF-8", "document: is not UTF-8",
	"document: nests arrays one level too deep", "document: nests objects one level too deep",
}

// seenOtherwise are the cases on which validators of others do not agree with the contract: openapi-backend does not
// check the media type.
var seenOtherwise = map[string][]string{
	"express-openapi-validator": append([]string{"document: begins with a byte order mark"}, notInASchema...),
	"openapi-backend":           append([]string{"request: Content-Type is left out", "request: Content-Type is text/plain"}, notInASchema...),
	"prism":                     notInASchema,
}

// Validators of others read every edge of the contract as it is meant.
func validators(t *testing.T) {
	mock, _ := startPrism(t, "mock", document(t, "callback.yaml"), "--errors")
	command := exec.CommandContext(t.Context(), "node", "validators.mjs", mock)
	command.Dir = "lint"
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	cases, err := conformance.Cases("")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for range seenOtherwise {
		if !lines.Scan() {
			t.Fatalf("validators.mjs ended: %v", lines.Err())
		}
		name, url, _ := strings.Cut(lines.Text(), " ")
		failed := map[string]error{}
		count := 0
		if err := conformance.Run(t.Context(), url, cases, conformance.Options{}, func(r conformance.Result) {
			if r.Skipped == "" {
				count++
			}
			if r.Err != nil {
				failed[r.Group+": "+r.Name] = r.Err
			}
		}); err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(slices.Values(seenOtherwise[name]))
		if got := slices.Sorted(maps.Keys(failed)); count < 60 || !slices.Equal(got, want) {
			t.Errorf("%s sees %d cases otherwise:\n%s\nwant %d", name, len(got), strings.ReplaceAll(fmt.Sprint(failed), " document:", "\ndocument:"), len(want))
		}
	}
}
