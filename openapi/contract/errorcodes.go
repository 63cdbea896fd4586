package contract

import (
	"errors"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// An ErrorCode is what the contract says of one of its error codes.
type ErrorCode struct {
	Status  int    // of HTTP
	Message string // a sentence for people
}

// ErrorCodes returns the codes that the schema ErrorCode of callback.yaml lists.
func (c *Contract) ErrorCodes() (map[callback.ErrorCode]ErrorCode, error) {
	ref := c.document.Components.Schemas["ErrorCode"]
	if ref == nil {
		return nil, errors.New("the contract has no schema ErrorCode")
	}
	return errorCodes(ref.Value)
}

func errorCodes(schema *openapi3.Schema) (map[callback.ErrorCode]ErrorCode, error) {
	statuses, _ := schema.Extensions["x-statuses"].([]any)
	messages, _ := schema.Extensions["x-enum-descriptions"].([]any)
	if n := len(schema.Enum); len(statuses) != n || len(messages) != n {
		return nil, fmt.Errorf("schema ErrorCode: %d codes, %d statuses and %d descriptions; want as many of each", n, len(statuses), len(messages))
	}
	codes := make(map[callback.ErrorCode]ErrorCode, len(schema.Enum))
	for i, code := range schema.Enum {
		codes[callback.ErrorCode(fmt.Sprint(code))] = ErrorCode{int(statuses[i].(float64)), fmt.Sprint(messages[i])}
	}
	return codes, nil
}
