package contract

import (
	"net/url"

	"github.com/getkin/kin-openapi/openapi3"
)

// decodeForm returns the value of a form, an object of strings and lists of strings. It refuses what two
// readers could understand differently: a string that is given twice, and text that is not UTF-8.
func decodeForm(text string, schema *openapi3.Schema) (any, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, &Violation{Member: "body", Rule: "must be a well-formed form"}
	}
	members := make(map[string]any, len(form))
	for name, values := range form {
		property := schema.Properties[name]
		if property == nil {
			return nil, &Violation{Member: quoted(name), Rule: "is not a member of this form"}
		}
		if property.Value.Type.Is(openapi3.TypeArray) {
			list := make([]any, len(values))
			for i, value := range values {
				if err := checkOnce(name, values[i:i+1]); err != nil {
					return nil, err
				}
				list[i] = value
			}
			members[name] = list
			continue
		}
		if err := checkOnce(name, values); err != nil {
			return nil, err
		}
		members[name] = values[0]
	}
	return members, nil
}
