package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client/conformance"
)

func (a *app) conformance() *cli.Command {
	var junit string
	return &cli.Command{
		Name:  "conformance",
		Usage: "test a service against the contract",
		Description: `Sends requests at every limit of the contract and one past it, with valid and invalid headers and
bodies, and checks the responses. All of them call back unknown states; a service that holds such
callbacks keeps them. Exits with 1 if the service does not conform.

Examples:
  flowcallback --endpoint http://127.0.0.1:8080 conformance
  flowcallback --endpoint https://callbacks.example.com conformance --junit report.xml`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "junit", Destination: &junit, Usage: "`FILE` for a report as JUnit XML"},
		},
		Action: noArguments(func(ctx context.Context, _ *cli.Command) error {
			if a.endpoint == "" {
				return fmt.Errorf("%w: --endpoint is missing; FLOWCALLBACK_ENDPOINT sets it too (see flowcallback --help)", errUsage)
			}
			return a.conform(ctx, junit)
		}),
	}
}

func (a *app) conform(ctx context.Context, junit string) error {
	cases, err := conformance.Cases()
	if err != nil {
		return err
	}
	var results []conformance.Result
	err = conformance.Run(ctx, a.endpoint, cases, conformance.Options{Authenticate: a.authenticate, Timeout: a.attempt}, func(r conformance.Result) {
		results = append(results, r)
		if isTerminal(a.stderr) {
			fmt.Fprintf(a.stderr, "\r\x1b[K%d of %d", len(results), len(cases))
		}
	})
	if isTerminal(a.stderr) {
		fmt.Fprint(a.stderr, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if junit != "" {
		if err := writeJUnit(junit, a.endpoint, results); err != nil {
			return fmt.Errorf("%w: --junit: %w", errUsage, err)
		}
	}
	if a.json {
		return a.printCases(results)
	}
	return a.printConformance(results)
}

// printCases prints each case as JSON.
func (a *app) printCases(results []conformance.Result) error {
	failed := 0
	for _, r := range results {
		line := struct {
			Group  string `json:"group"`
			Name   string `json:"name"`
			Passed bool   `json:"passed"`
			Error  string `json:"error,omitempty"`
		}{Group: r.Group, Name: r.Name, Passed: r.Err == nil}
		if r.Err != nil {
			line.Error = r.Err.Error()
			failed++
		}
		if err := a.printJSON(line); err != nil {
			return err
		}
	}
	return conforms(failed, len(results))
}

// conforms returns the error of a service that does not conform.
func conforms(failed, all int) error {
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%w does not conform: %d of %d cases failed", errService, failed, all)
}

// printConformance prints the failed cases and a summary.
func (a *app) printConformance(results []conformance.Result) error {
	var groups []string
	passed, all := map[string]int{}, map[string]int{}
	failed := 0
	for _, r := range results {
		if all[r.Group] == 0 {
			groups = append(groups, r.Group)
		}
		all[r.Group]++
		if r.Err == nil {
			passed[r.Group]++
			continue
		}
		failed++
		fmt.Fprintf(a.stdout, "FAILED  %s: %s\n        %v\n", r.Group, r.Name, r.Err)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tPASSED\tOF\t")
	for _, group := range groups {
		fmt.Fprintf(table, "%s\t%d\t%d\t\n", group, passed[group], all[group])
	}
	fmt.Fprintf(table, "all\t%d\t%d\t\n", len(results)-failed, len(results))
	if err := table.Flush(); err != nil {
		return err
	}
	return conforms(failed, len(results))
}

// The common parts of a JUnit report.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     float64     `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    float64       `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
	}
)

func writeJUnit(path, endpoint string, results []conformance.Result) error {
	suite := junitSuite{Name: "conformance of " + endpoint, Tests: len(results)}
	var total time.Duration
	for _, r := range results {
		c := junitCase{Class: "callback." + r.Group, Name: r.Name, Time: r.Took.Seconds()}
		if r.Err != nil {
			c.Failure = &junitFailure{r.Err.Error()}
			suite.Failures++
		}
		total += r.Took
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = total.Seconds()
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte(xml.Header), append(text, '\n')...), 0o644) //nolint:gosec // a report is not secret
}
