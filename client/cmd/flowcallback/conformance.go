package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// conformanceFlags are the flags of the command conformance.
type conformanceFlags struct {
	junit, only, openWith, states string
	waits, strict, failFast, list bool
}

func (a *app) conformance() *cli.Command {
	var f conformanceFlags
	return &cli.Command{
		Name:  "conformance",
		Usage: "test a service against the contract",
		Description: `Sends requests at every limit of the contract and one past it, with valid and invalid headers and
bodies, and checks the responses. These call back unknown states; a service that holds such
callbacks keeps them.

What settling a state means is tested if there are states that wait: --waits opens them with this
project's API (and needs --project-id), --open-with runs a command that opens one and prints its ids
as JSON, --states has a file with one such object on each line. Each case takes a state of its own, and
the last two take up to five each; "--list --only settling:" prints them. Some also call back ids with
a letter more, less or different, so make sure that no state of somebody else has such ids. Exits with 1
if the service does not conform.

The report has each failure with the request as a command for curl in bash. It is written also if the
run ends before its time.

Examples:
  flowcallback --endpoint http://127.0.0.1:8080 conformance --waits
  flowcallback conformance --open-with './open-a-state.sh' --junit report.xml
  flowcallback conformance --only 'settling: a success'
  flowcallback conformance --list --json`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "waits", Destination: &f.waits, Usage: "open states with this project's own API"},
			&cli.StringFlag{Name: "open-with", Destination: &f.openWith, Usage: "`COMMAND` for sh that opens a state and prints {\"workflow_id\":…,\"run_id\":…,\"state_id\":…}"},
			&cli.StringFlag{Name: "states", Destination: &f.states, Usage: "`FILE` with states that wait, as JSON, one on each line"},
			&cli.BoolFlag{Name: "strict", Destination: &f.strict, Usage: "try also what the contract leaves open and this project's server promises"},
			&cli.StringFlag{Name: "only", Destination: &f.only, Usage: "try cases that have `TEXT` in \"group: name\""},
			&cli.BoolFlag{Name: "fail-fast", Destination: &f.failFast, Usage: "stop at the first case that fails"},
			&cli.BoolFlag{Name: "list", Destination: &f.list, Usage: "print the cases and send nothing"},
			&cli.StringFlag{Name: "junit", Destination: &f.junit, Usage: "`FILE` for a report as JUnit XML"},
		},
		Action: noArguments(func(ctx context.Context, _ *cli.Command) error { return a.conform(ctx, f) }),
	}
}

// errFailFast ends a run at the first case that fails.
var errFailFast = errors.New("a case failed")

func (a *app) conform(ctx context.Context, f conformanceFlags) error {
	all, err := conformance.Cases(a.projectID)
	if err != nil {
		return err
	}
	cases := chosen(all, f)
	switch {
	case len(cases) == 0:
		return fmt.Errorf("%w: --only %q: no case has that text; --list --strict prints all", errUsage, f.only)
	case f.list && f.junit != "":
		return fmt.Errorf("%w: --list sends nothing, so there is no report for --junit", errUsage)
	case f.list:
		return a.listCases(cases)
	}
	var report *os.File // of an earlier run, it would be taken for this one's
	if f.junit != "" {
		if report, err = os.Create(f.junit); err != nil {
			return fmt.Errorf("%w: --junit: %w", errUsage, err)
		}
	}
	results, err := a.tryCases(ctx, cases, f)
	if report != nil {
		ended := ""
		if err != nil && !errors.Is(err, errService) { // the failed cases say so already
			ended = errorText(exitCode(ctx, err), err)
		}
		if err := errors.Join(writeJUnit(report, a.endpoint, results, ended), report.Close()); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	return err
}

// tryCases tries cases, and prints what it has found.
func (a *app) tryCases(ctx context.Context, cases []conformance.Case, f conformanceFlags) ([]conformance.Result, error) {
	switch {
	case a.endpoint == "":
		return nil, fmt.Errorf("%w: --endpoint is missing; FLOWCALLBACK_ENDPOINT sets it too (see flowcallback --help)", errUsage)
	case a.attempt <= 0:
		return nil, fmt.Errorf("%w: --attempt-timeout %s: want a time above 0", errUsage, a.attempt)
	case a.retry < 0:
		return nil, fmt.Errorf("%w: --retry %s: want no negative time", errUsage, a.retry)
	}
	if err := conformance.CheckEndpoint(a.endpoint); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	options, err := a.conformanceOptions(f)
	if err != nil {
		return nil, err
	}
	results, err := a.runCases(ctx, cases, options, f)
	if errors.Is(err, conformance.ErrCredentials) && len(a.credentials) == 0 {
		err = fmt.Errorf("%w (none were sent; FLOWCALLBACK_TOKEN or HUAWEICLOUD_SDK_AK and _SK have them)", err)
	}
	if !a.json && len(results) > 0 {
		if err := a.printConformance(results); err != nil {
			return results, err
		}
	}
	if err == nil {
		err = conforms(results, f)
	}
	return results, err
}

// chosen returns the cases that the flags select.
func chosen(all []conformance.Case, f conformanceFlags) (cases []conformance.Case) {
	for _, c := range all {
		if (f.strict || !c.Strict) && strings.Contains(c.Group+": "+c.Name, f.only) {
			cases = append(cases, c)
		}
	}
	return cases
}

// progressEvery is the pause between two lines of progress where there is no terminal.
const progressEvery = 5 * time.Second

func (a *app) runCases(ctx context.Context, cases []conformance.Case, options conformance.Options, f conformanceFlags) (results []conformance.Result, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	said := time.Now()
	var printing error
	showProgress := !a.json && isTerminal(a.stderr)
	err = conformance.Run(ctx, a.endpoint, cases, options, func(r conformance.Result) {
		results = append(results, r)
		switch {
		case a.json:
			if printing = a.printCase(r); printing != nil {
				stop(printing)
			}
		case showProgress:
			fmt.Fprintf(a.stderr, "\r\x1b[K%d of %d", len(results), len(cases))
		case time.Since(said) > progressEvery:
			fmt.Fprintf(a.stderr, "%d of %d cases\n", len(results), len(cases))
			said = time.Now()
		}
		if r.Err != nil && f.failFast {
			stop(errFailFast)
		}
	})
	if showProgress {
		fmt.Fprint(a.stderr, "\r\x1b[K")
	}
	if errors.Is(context.Cause(ctx), errFailFast) {
		err = nil
	}
	if printing != nil {
		err = printing
	}
	return results, err
}

// listCases prints the cases, with --json as data that other programs can run.
func (a *app) listCases(cases []conformance.Case) error {
	for _, c := range cases {
		if !a.json {
			fmt.Fprintf(a.stdout, "%s: %s\n", c.Group, c.Name)
			continue
		}
		if err := a.printJSON(c.Data()); err != nil {
			return err
		}
	}
	return nil
}

// printCase prints a result as JSON.
func (a *app) printCase(r conformance.Result) error {
	line := struct {
		Group   string `json:"group"`
		Name    string `json:"name"`
		Status  string `json:"status"`
		Skipped string `json:"skipped,omitempty"`
		Error   string `json:"error,omitempty"`
		Curl    string `json:"curl,omitempty"`
	}{Group: r.Group, Name: r.Name, Status: "passed", Skipped: r.Skipped}
	switch {
	case r.Skipped != "":
		line.Status = "skipped"
	case r.Err != nil:
		line.Status, line.Error, line.Curl = "failed", r.Err.Error(), r.Curl
	}
	return a.printJSON(line)
}

// A tally counts results.
type tally struct{ passed, failed, skipped int }

func tallyOf(results []conformance.Result) (t tally) {
	for _, r := range results {
		switch {
		case r.Skipped != "":
			t.skipped++
		case r.Err != nil:
			t.failed++
		default:
			t.passed++
		}
	}
	return t
}

// conforms returns the error of a service that does not conform, or of a run that has shown too little.
func conforms(results []conformance.Result, f conformanceFlags) error {
	t, lacking, most := tallyOf(results), 0, 0
	for _, r := range results {
		if r.Skipped == conformance.NoState {
			lacking++
		}
		if r.State == conformance.Waiting {
			most += max(r.Rounds, 1)
		}
	}
	switch {
	case t.failed > 0:
		return fmt.Errorf("%w does not conform: %d of %d cases failed", errService, t.failed, t.failed+t.passed)
	case lacking > 0 && f.states != "":
		return fmt.Errorf("%w: --states %s: %d cases had no state; give it %d", errUsage, f.states, lacking, most)
	case t.passed == 0 && t.skipped > 0:
		return fmt.Errorf("%w: nothing was tried: give it states with --waits, --open-with or --states", errUsage)
	}
	return nil
}

// printConformance prints the failed cases, what was skipped and why, and a summary.
func (a *app) printConformance(results []conformance.Result) error {
	var groups, skips []string // in the order of the cases
	byGroup, skipped := map[string][]conformance.Result{}, map[string]int{}
	for _, r := range results {
		if byGroup[r.Group] == nil {
			groups = append(groups, r.Group)
		}
		byGroup[r.Group] = append(byGroup[r.Group], r)
		if r.Err != nil {
			fmt.Fprintf(a.stdout, "FAILED  %s: %s\n        %s\n        %s\n", r.Group, r.Name, plain(r.Err.Error()), strings.ReplaceAll(r.Curl, "\n", "\n        "))
		}
		if r.Skipped != "" {
			why := r.Group + ": " + r.Skipped
			if skipped[why]++; skipped[why] == 1 {
				skips = append(skips, why)
			}
		}
	}
	for _, why := range skips {
		group, _, _ := strings.Cut(why, ": ")
		fmt.Fprintf(a.stdout, "SKIPPED %s (%d of %d cases)\n", why, skipped[why], len(byGroup[group]))
	}
	table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tPASSED\tFAILED\tSKIPPED\t")
	for _, group := range groups {
		t := tallyOf(byGroup[group])
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\n", group, t.passed, t.failed, t.skipped)
	}
	t := tallyOf(results)
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t\n", t.passed, t.failed, t.skipped)
	if err := table.Flush(); err != nil {
		return err
	}
	if settled := tallyOf(byGroup["settling"]); settled.skipped > 0 && settled.passed+settled.failed == 0 {
		fmt.Fprintln(a.stdout, "settling: not tested; give it states with --waits, --open-with or --states")
	}
	return nil
}
