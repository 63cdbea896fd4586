package sqlite

import "github.com/flowcallback/flowcallback/gen/waits"

// labels are what a wait is found by.
type labels struct {
	workflow, run, state string
	tags                 []string
}

// The first letters of the names of lists.
const (
	ofWorkflow = "w"
	ofRun      = "r"
	ofState    = "s"
	withTag    = "t"
)

// names returns the names of the lists that a wait is in.
func (l *labels) names() []string {
	names := []string{ofWorkflow + l.workflow, ofRun + l.run, ofState + l.state}
	for _, tag := range l.tags {
		names = append(names, withTag+tag)
	}
	return names
}

// labelsOf returns what a wait is found by.
func labelsOf(wait *waits.Wait) *labels {
	return &labels{wait.WorkflowID, string(wait.RunID), string(wait.StateID), wait.Tags}
}
