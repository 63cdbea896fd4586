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

// ofTheText are cases about the bytes of a body, which validators see only after it was decoded.
var ofTheText = []string{
	"document: has a lone surrogate", "document: has a member twice", "document: has a member twice in output", "document: has output that is not UTF-8", "document: is not UTF-8",
}

// seenOtherwise are the cases on which validators of others do not agree with the contract, because a schema cannot
// say them: the depth, what a body is before it is JSON, and with openapi-backend the media type, which it does not check.
var seenOtherwise = map[string][]string{
	"express-openapi-validator": append([]string{"document: begins with a byte order mark", "document: nests one level too deep"}, ofTheText...),
	"openapi-backend": append([]string{
		"document: nests one level too deep", "request: Content-Type is left out", "request: Content-Type is text/plain",
	}, ofTheText...),
	"prism": append([]string{"document: nests one level too deep"}, ofTheText...),
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
