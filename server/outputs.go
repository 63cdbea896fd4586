package server

import (
	"errors"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
)

// OutputJudge returns the function that an engine needs for waits with an output schema: it
// returns an engine.OutputError if an output breaks the schema.
func OutputJudge() (func(schema, output []byte) error, error) {
	own, err := contract.Waits()
	if err != nil {
		return nil, err
	}
	return outputJudge(own), nil
}

func outputJudge(own *contract.Contract) func(schema, output []byte) error {
	judge := own.NewOutputJudge()
	return func(schema, output []byte) error {
		err := judge.Judge(schema, output)
		if broken := (*contract.Violation)(nil); errors.As(err, &broken) {
			return &engine.OutputError{Rule: broken.Error()}
		}
		return err
	}
}
