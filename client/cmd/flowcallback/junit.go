package main

import (
	"encoding/xml"
	"io"
	"time"

	"github.com/flowcallback/flowcallback/client/conformance"
)

// The common parts of a JUnit report.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Errors   int         `xml:"errors,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     float64     `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    float64       `xml:"time,attr"`
		Error   *junitMessage `xml:"error,omitempty"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes a report. ended is why the run ended before its time, or shows nothing; empty if it does.
func writeJUnit(w io.Writer, endpoint string, results []conformance.Result, ended string) error {
	t := tallyOf(results)
	if conformance.CheckEndpoint(endpoint) != nil {
		endpoint = "no endpoint" // what is there may have a password
	}
	suite := junitSuite{Name: "conformance of " + endpoint, Tests: len(results), Failures: t.failed, Skipped: t.skipped}
	if ended != "" {
		suite.Tests, suite.Errors = suite.Tests+1, 1
		suite.Cases = append(suite.Cases, junitCase{Class: "callback.run", Name: "the run ends", Error: &junitMessage{Message: ended}})
	}
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
	_, err = w.Write(append([]byte(xml.Header), append(text, '\n')...))
	return err
}
