// Package precheck checks requests against the whole contract before they are sent, with the
// server's validator and its messages. It is a package of its own so that package client
// does not link the validator.
//
//	check, err := precheck.New()
//	…
//	c, err := client.New(endpoint, projectID, client.WithCheck(check))
package precheck

import (
	"fmt"
	"net/http"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// New loads the two contracts and returns a check for client.WithCheck. The check is safe for
// concurrent use. Its error says in one line which member breaks which rule.
func New() (func(*http.Request) error, error) {
	callback, err := contract.Callback()
	if err != nil {
		return nil, err
	}
	waits, err := contract.Waits()
	if err != nil {
		return nil, err
	}
	return func(r *http.Request) error {
		for _, c := range []*contract.Contract{callback, waits} {
			if operation, values := c.Match(r); operation != nil {
				return check(operation, r, values)
			}
		}
		return fmt.Errorf("%s %s is not an operation of the contract", r.Method, r.URL.EscapedPath())
	}, nil
}

// check checks a copy of r, because the check reads the body.
func check(operation *contract.Operation, r *http.Request, values contract.PathValues) error {
	judged := r.Clone(r.Context())
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return err
		}
		judged.Body = body
	}
	return operation.CheckRequest(r.Context(), judged, values)
}
