package main

import (
	"encoding/xml"
	"os"
	"time"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// The common parts of a JUnit report.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     float64     `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    float64       `xml:"time,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func writeJUnit(path, endpoint string, results []conformance.Result) error {
	t := tallyOf(results)
	suite := junitSuite{Name: "conformance of " + endpoint, Tests: len(results), Failures: t.failed, Skipped: t.skipped}
	var total time.Duration
	for _, r := range results {
		c := junitCase{Class: "callback." + r.Group, Name: r.Name, Time: r.Took.Seconds()}
		if r.Err != nil {
			c.Failure = &junitMessage{r.Err.Error(), r.Curl}
		}
		if r.Skipped != "" {
			c.Skipped = &junitMessage{Message: r.Skipped}
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
