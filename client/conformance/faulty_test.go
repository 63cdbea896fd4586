package conformance_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client/conformance"
)

var update = flag.Bool("update", false, "write FAULTS.md")

// faults are the faults of servers, with a case that finds each and a part of what it says.
var faults = map[string][2]string{
	"takes true for 1":                            {"settling: true for 1 is a conflict", "was accepted"},
	"compares names in any case":                  {"settling: a name in other case is a conflict", "was accepted"},
	"compares zeros as numbers":                   {"settling: the sign of zero is a conflict", "was accepted"},
	"does not compare __proto__":                  {"settling: another value of __proto__ is a conflict", "was accepted"},
	"compares projects in any case":               {"settling: the state belongs to its project", "was accepted (project_id in capitals)"},
	"refuses a charset in capitals":               {"request: Content-Type names the charset in capitals", "404 is wanted: 415"},
	"stores what it refuses":                      {"settling: a refused callback changes nothing", "so 200 is wanted"},
	"fails with a null character":                 {"settling: an output with every kind of value is answered with the execution", "so 200 is wanted: 500"},
	"has a limit for ids in headers":              {"header: X-Workflow-Run-Id is long", "is allowed, and was refused"},
	"ignores ERROR":                               {"body: error is spelled in capitals", "400 with FGS.3002 is wanted"},
	"ignores a name with a capital":               {"body: result is given with a capital, too", "400 with FGS.3002 is wanted"},
	"compares members that are not declared":      {"settling: members that are not declared make no other outcome", "so 200 is wanted: 400"},
	"cuts the reason that it compares":            {"settling: an error that has its greatest length arrives", "so 200 is wanted: 400"},
	"refuses the second of two at once":           {"settling: the same outcome twice at once is answered twice", "the other one: this is the same outcome again, so 200 is wanted: 400"},
	"joins ids without a separator":               {"settling: the id of the run is compared byte for byte", "run_id with its last letter before the next id"},
	"finds a state by the beginning of its id":    {"settling: the id of the state is compared byte for byte", "state_id without its last letter"},
	"takes _ in an id for any letter":             {"settling: the id of the state is compared byte for byte", "state_id with _ for its last letter"},
	"takes % in an id for any letters":            {"settling: the id of the workflow is compared byte for byte", "workflow_id with % for its last letter"},
	"accepts a lone surrogate in output":          {"document: has a lone surrogate in a name", "400 with FGS.3002 is wanted"},
	"accepts an empty body":                       {"document: is missing", "400 with FGS.3002 is wanted"},
	"ignores a member in capitals beside its own": {"body: output is given in capitals, too", "400 with FGS.3002 is wanted"},
	"counts arrays only for the depth":            {"document: nests objects one level too deep", "400 with FGS.3002 is wanted"},
	"compares the first level only":               {"settling: another value deep in the output is a conflict", "was accepted"},
	"takes null for a missing member":             {"settling: a member more is a conflict", "was accepted"},
	"compares arrays in any order":                {"settling: another order of an array is a conflict", "was accepted"},
	"compares decimals as floats":                 {"settling: a number that differs in its last digit is a conflict", "was accepted"},
	"takes a text for a number":                   {"settling: a text for a number is a conflict", "was accepted"},
	"compares texts in any case":                  {"settling: a text with other letters is a conflict", "was accepted"},
	"compares texts by what they look like":       {"settling: a text with other code points is a conflict", "was accepted"},
	"ignores the error of a success":              {"settling: another error of a success is a conflict", "was accepted"},
	"takes any reason for none":                   {"settling: a failure with a reason that it had not is a conflict", "was accepted"},
	"folds ids to lower case":                     {"settling: the id of the state is compared byte for byte", "was accepted"},
	"folds the id of the run to lower case":       {"settling: the id of the run is compared byte for byte", "was accepted"},
	"ignores the id of the workflow":              {"settling: the id of the workflow is compared byte for byte", "was accepted"},
	"ignores the id of the run":                   {"settling: the id of the run is compared byte for byte", "was accepted"},
	"trims the id of the workflow":                {"settling: the id of the workflow is compared byte for byte", "with a space behind it"},
	"ignores the project":                         {"settling: the state belongs to its project", "was accepted (project_id with another last letter"},
	"answers a missing header with 401":           {"header: X-Workflow-Run-Id is left out", "400 with FGS.3002 is wanted: 401"},
	"counts UTF-16 units in ids":                  {"path: workflow_id has its greatest length", "the contract counts code points"},
	"counts UTF-16 units in the reason":           {"body: error has its greatest length", "the contract counts code points"},
	"does not compare reasons":                    {"settling: another reason is a conflict", "was accepted"},
	"does not compare the output of a failure":    {"settling: another output of a failure is a conflict", "was accepted"},
	"takes no failure for the same":               {"settling: the same failure again is answered as the first time", "so 200 is wanted: 400"},
	"loses the output of a failure":               {"settling: a failure with a reason is answered with the execution", "the waiting side received {}"},
	"hands null on":                               {"settling: a failure with null as output is answered with the execution", "the waiting side received null"},
	"settles with a failure what waits no more":   {"settling: a cancelled state is not found", "was accepted"},
	"hands on what it refuses as a conflict":      {"settling: another output is a conflict", "the waiting side received"},
	"loses long outputs":                          {"settling: a long output arrives", "the waiting side received {}"},
	"drops __proto__":                             {"settling: every digit and character of the output arrives", "the waiting side received"},
	"loses the sign of zero":                      {"settling: every digit and character of the output arrives", "the waiting side received"},
	"composes characters":                         {"settling: every digit and character of the output arrives", "the waiting side received"},
	"answers the loser of a race with 500":        {"settling: of two outcomes that race, one wins", "the other one: 400 with FLOWCALLBACK.CONFLICT is wanted: 500"},
	"answers the loser of a race with 404":        {"settling: of two outcomes that race, one wins", "the other one: 400 with FLOWCALLBACK.CONFLICT is wanted: 404"},
	"answers 200 and settles nothing":             {"settling: a success is answered with the execution", "the waiting side received nothing"},
	"answers a success without the execution":     {"settling: a success is answered with the execution", "breaks the contract"},
	"names the execution in another member":       {"settling: a success is answered with the execution", "execution_id"},
	"answers a success with 202":                  {"settling: a success is answered with the execution", "so 200 is wanted: 202"},
	"answers a success with 204":                  {"settling: a success is answered with the execution", "so 200 is wanted: 204"},
	"answers errors without a message":            {"document: is not JSON", "error_msg"},
	"has no request id":                           {"document: is not JSON", "X-Request-Id"},
	"redirects":                                   {"header: X-Workflow-Run-Id is left out", "a redirect to /login"},
	"accepts longer paths":                        {"request: the path has another segment", "as a callback for an unknown state"},
	"accepts GET":                                 {"request: the method is GET", "as a callback for an unknown state"},
	"answers HEAD with 200":                       {"request: the method is HEAD", "it was carried out"},
	"accepts PUT":                                 {"request: the method is PUT", "as a callback for an unknown state"},
	"accepts PATCH":                               {"request: the method is PATCH", "as a callback for an unknown state"},
	"accepts DELETE":                              {"request: the method is DELETE", "as a callback for an unknown state"},
	"counts bytes in ids":                         {"path: workflow_id has its greatest length", "the contract counts code points"},
	"accepts a longer project id":                 {"path: project_id is one too long", "400 with FGS.3002 is wanted"},
	"accepts a longer workflow id":                {"path: workflow_id is one too long", "400 with FGS.3002 is wanted"},
	"does not need X-Workflow-Run-Id":             {"header: X-Workflow-Run-Id is left out", "400 with FGS.3002 is wanted"},
	"does not need X-Workflow-State-Id":           {"header: X-Workflow-State-Id is left out", "400 with FGS.3002 is wanted"},
	"fails without Content-Type":                  {"request: Content-Type is left out", "the server failed: 500"},
	"accepts any Content-Type":                    {"request: Content-Type is text/plain", "as a callback for an unknown state"},
	"refuses a charset":                           {"request: Content-Type names the charset", "404 is wanted"},
	"accepts bytes that are not UTF-8":            {"document: has output that is not UTF-8", "400 with FGS.3002 is wanted"},
	"accepts a byte order mark":                   {"document: begins with a byte order mark", "400 with FGS.3002 is wanted"},
	"accepts a lone surrogate":                    {"document: has a lone surrogate", "400 with FGS.3002 is wanted"},
	"accepts a body that is no object":            {"document: is an array", "400 with FGS.3002 is wanted"},
	"reads the first of two documents":            {"document: is two documents", "400 with FGS.3002 is wanted"},
	"accepts a member twice":                      {"document: has a member twice in output", "400 with FGS.3002 is wanted"},
	"refuses members that it does not know":       {"document: has undeclared members", "is allowed, and was refused"},
	"reads members in any case":                   {"body: result is spelled in capitals", "400 with FGS.3002 is wanted"},
	"accepts any result":                          {"body: result is success and more", "400 with FGS.3002 is wanted"},
	"reads results in any case":                   {"body: result is success in capitals", "400 with FGS.3002 is wanted"},
	"has success as the default":                  {"body: result is left out", "400 with FGS.3002 is wanted"},
	"counts bytes in the reason":                  {"body: error has its greatest length", "the contract counts code points"},
	"has a shorter limit for the reason":          {"body: error has its greatest length", "is allowed"},
	"accepts a reason of any type":                {"body: error is a number", "400 with FGS.3002 is wanted"},
	"cuts a long reason":                          {"body: error is one too long", "400 with FGS.3002 is wanted"},
	"accepts an empty reason":                     {"body: error is one too short", "400 with FGS.3002 is wanted"},
	"does not need output":                        {"body: output is left out", "400 with FGS.3002 is wanted"},
	"does not need output of a failure":           {"document: is a failure that leaves output out", "400 with FGS.3002 is wanted"},
	"refuses null of a failure":                   {"settling: a failure with null as output is answered with the execution", "so 200 is wanted: 400"},
	"accepts null of a success":                   {"document: is a success without output", "400 with FGS.3002 is wanted"},
	"accepts any output":                          {"body: output is an array", "400 with FGS.3002 is wanted"},
	"nests less deeply":                           {"document: nests arrays as deep as it may", "is allowed, and was refused"},
	"nests without an end":                        {"document: nests arrays one level too deep", "400 with FGS.3002 is wanted"},
	"reads numbers as floats":                     {"settling: every digit and character of the output arrives", "so 200 is wanted"},
	"compares outputs as text":                    {"settling: the same outcome again is answered as the first time", "so 200 is wanted: 400"},
	"compares results only":                       {"settling: another output is a conflict", "was accepted"},
	"lets both of two that race win":              {"settling: of two outcomes that race, one wins", "exactly one wins"},
	"answers unknown states with 400":             {"document: has white space around it", "is allowed, and was refused"},
	"finds no state":                              {"settling: a success is answered with the execution", "the state waits, and was not found"},
	"settles expired states":                      {"settling: an expired state is not found", "was accepted"},
	"does not say that a state has expired":       {"settling: an expired state is not found", "FLOWCALLBACK.EXPIRED is wanted"},
	"settles cancelled states":                    {"settling: a cancelled state is not found", "was accepted"},
	"refuses a repeat":                            {"settling: the same outcome again is answered as the first time", "so 200 is wanted: 400"},
	"answers a repeat with another execution":     {"settling: the same outcome again is answered as the first time", "the same outcome again has the execution"},
	"overwrites an outcome":                       {"settling: another result is a conflict", "was accepted"},
	"answers a conflict with 409":                 {"settling: another result is a conflict", "400 with FLOWCALLBACK.CONFLICT is wanted: 409"},
	"answers a conflict as settled":               {"settling: another result is a conflict", "was accepted"},
	"settles with what it refuses":                {"settling: a success is answered with the execution", "so 200 is wanted: 400"},
	"loses the output":                            {"settling: every digit and character of the output arrives", "the waiting side received"},
	"drops null":                                  {"settling: every digit and character of the output arrives", "the waiting side received"},
}

// Every fault is found by the case that is made for it, and the result says what is wrong and how to send it again.
func TestEveryFaultIsFound(t *testing.T) {
	if len(faults) < 54 {
		t.Errorf("there are %d faults, want 54", len(faults))
	}
	table := "# What the conformance tests find\n\nMade by `go test ./client/conformance -update`, from a server that has a switch for each fault.\n\n| a server that | fails the case | with |\n|---|---|---|\n"
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		table += fmt.Sprintf("| %s | %s | … %s … |\n", fault, faults[fault][0], faults[fault][1])
	}
	const file = "FAULTS.md"
	if *update {
		if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != table {
		t.Errorf("%s is not up to date (%v); \"go test -update\" writes it", file, err)
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Run(fault, func(t *testing.T) {
			results, err := (&server{fault: fault}).run(t, faults[fault][0], false)
			if err != nil {
				t.Fatal(err)
			}
			found := results[faults[fault][0]]
			if found.Err == nil || !strings.Contains(found.Err.Error(), faults[fault][1]) || !strings.HasPrefix(found.Curl, "curl ") {
				t.Errorf("case %q: %v, with %s; want an error with %q", faults[fault][0], found.Err, found.Curl, faults[fault][1])
			}
		})
	}
}

// A server that holds callbacks for unknown states is tested for ids, too.
func TestHeldCallbacks(t *testing.T) {
	for fault, id := range map[string]string{"folds ids to lower case": "state", "ignores the id of the run": "run", "ignores the id of the workflow": "workflow"} {
		results, err := (&server{fault: fault, holds: true}).run(t, "settling", false)
		if found := results["settling: the id of the "+id+" is compared byte for byte"]; err != nil || found.Err == nil || !strings.Contains(found.Err.Error(), "so 200 is wanted: 400") {
			t.Errorf("a server that holds and %s: %v, %v", fault, found.Err, err)
		}
	}
}

// Servers without a fault pass, whatever the contract leaves open.
func TestNoFalseAlarm(t *testing.T) {
	named := func(workflow, run, state string) func(int) conformance.State {
		return func(n int) conformance.State {
			return conformance.State{Workflow: workflow, Run: run, State: fmt.Sprint(state, 99-n)}
		}
	}
	for name, s := range map[string]*server{
		"plain": {}, "below a prefix": {prefix: "/flows"}, "holds callbacks": {holds: true},
		"ids that begin alike":    {name: named("w", "r", "step-")},
		"ids of one letter":       {name: named("w", "r", "")},
		"ids that end like SQL":   {name: named("50%", "a_", "_%_")},
		"ids that are folders":    {name: named(".w", "..", ".")},
		"long ids":                {name: named(strings.Repeat("W", 512), strings.Repeat("Run", 99), "é")},
		"other projects with 401": {other: 401}, "other projects with 403": {other: 403}, "other projects with 404": {other: 404},
	} {
		results, err := s.run(t, "", false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, r := range results {
			if r.Err != nil || r.Skipped != "" && s.other == 0 {
				t.Errorf("%s: %s: %s: %v %s", name, r.Group, r.Name, r.Err, r.Skipped)
			}
		}
	}
}
