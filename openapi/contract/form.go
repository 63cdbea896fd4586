package contract

import (
	"net/url"

	"github.com/getkin/kin-openapi/openapi3"
)

// decodeForm returns the value of a form, an object of strings. It refuses what two readers could
// understand differently: a member that is given twice, and text that is not UTF-8.
func decodeForm(text string, schema *openapi3.Schema) (any, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, &Violation{Member: "body", Rule: "must be a well-formed form"}
	}
	members := make(map[string]any, len(form))
	for name, values := range form {
		if schema.Properties[name] == nil {
			return nil, &Violation{Member: quoted(name), Rule: "is not a member of this form"}
		}
		if err := checkOnce(name, values); err != nil {
			return nil, err
		}
		members[name] = values[0]
	}
	return members, nil
}
