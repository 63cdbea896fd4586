package contract

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// A Violation says which part of a request or response breaks which rule of the contract. It
// quotes the contract and, for an unknown name, that name; never a value of the request.
type Violation struct {
	Member    string // a parameter, a header, a body member with dots, or "body"
	Rule      string // "must be an object"
	MediaType bool   // the media type or encoding of the body is refused
}

// Error returns "member: rule".
func (v *Violation) Error() string {
	if v.Member == "" {
		return v.Rule
	}
	return v.Member + ": " + v.Rule
}

// violation describes an error of kin-openapi.
func violation(err error) *Violation {
	v := &Violation{Member: "body"}
	var request *openapi3filter.RequestError
	if errors.As(err, &request) && request.Parameter != nil {
		v.Member = request.Parameter.Name
	}
	var broken *openapi3.SchemaError
	var parse *openapi3filter.ParseError
	var response *openapi3filter.ResponseError
	switch {
	case errors.As(err, &broken):
		v.at(broken)
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		v.Rule = "is missing"
	case errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
		v.Rule = "must not be empty"
	case errors.As(err, &parse) && request != nil && request.Parameter != nil:
		v.Rule = rangeRule(request.Parameter.Schema.Value)
	case errors.As(err, &response):
		v.Member, v.Rule = "response", response.Reason
	default:
		v.Rule = "cannot be read"
	}
	return v
}

// at sets the member and the rule from a schema error.
func (v *Violation) at(broken *openapi3.SchemaError) {
	if path := broken.JSONPointer(); len(path) > 0 {
		v.Member = strings.Join(path, ".")
	}
	schema := broken.Schema
	switch broken.SchemaField {
	case "required":
		v.Rule = missingRule(schema.Properties[v.Member[strings.LastIndexByte(v.Member, '.')+1:]])
	case "type", "nullable":
		v.Rule = typeRule(schema)
	case "enum":
		v.Rule = "must be " + anyOf(schema.Enum)
	case "minLength":
		v.Rule = fmt.Sprintf("must have at least %s", counted(schema.MinLength, "character"))
	case "maxLength":
		v.Rule = fmt.Sprintf("must have at most %s", counted(*schema.MaxLength, "character"))
	case "minimum":
		v.Rule = "must be at least " + number(*schema.Min)
	case "maximum":
		v.Rule = "must be at most " + number(*schema.Max)
	case "pattern":
		v.Rule = "has characters that the contract does not allow"
	case "minItems":
		v.Rule = "must have at least " + counted(schema.MinItems, "item")
	case "maxItems":
		v.Rule = "must have at most " + counted(*schema.MaxItems, "item")
	case "uniqueItems":
		v.Rule = "must not have an item twice"
	case "maxProperties":
		v.Rule = "must have at most " + counted(*schema.MaxProps, "member")
	case "anyOf":
		v.Rule = "must be " + strings.ToLower(strings.TrimSuffix(schema.Description, "."))
	case "format":
		v.Rule = formatRule(broken)
	case "not":
		v.Member, v.Rule = "", schema.Not.Value.Description
	default:
		v.Rule = "breaks the contract's rule " + broken.SchemaField
	}
}

// missingRule describes a member that is missing: the extension x-if-missing of its schema says what to do.
func missingRule(member *openapi3.SchemaRef) string {
	rule := "is missing"
	if member == nil {
		return rule
	}
	if advice, ok := member.Value.Extensions["x-if-missing"].(string); ok {
		rule += "; " + advice
	}
	return rule
}

// formatRules are the rules of the formats.
var formatRules = map[string]string{
	"date":      "must be a day, such as 2026-11-23",
	"date-time": "must be an instant, such as 2026-11-23T08:00:00Z",
}

// formatRule describes a broken format, or what a schema for outputs has as one.
func formatRule(broken *openapi3.SchemaError) string {
	var rule textRule
	if errors.As(broken.Origin, &rule) {
		return string(rule)
	}
	if broken.Schema.Type.Is(openapi3.TypeInteger) { // the number is beyond the format, and so beyond the limits too
		return rangeRule(broken.Schema)
	}
	return formatRules[broken.Schema.Format]
}

// number formats a limit with all its digits.
func number(limit float64) string { return strconv.FormatFloat(limit, 'f', -1, 64) }

func typeRule(schema *openapi3.Schema) string {
	types := schema.Type.Slice()
	if len(types) == 0 {
		return "must not be null"
	}
	name := types[0]
	article := "a "
	if strings.ContainsRune("aeio", rune(name[0])) {
		article = "an "
	}
	return "must be " + article + name
}

// rangeRule is typeRule with the limits of a number.
func rangeRule(schema *openapi3.Schema) string {
	rule := typeRule(schema)
	if schema.Min != nil && schema.Max != nil {
		rule += " from " + number(*schema.Min) + " to " + number(*schema.Max)
	}
	return rule
}

func anyOf(values []any) string {
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = fmt.Sprint(value)
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func counted(n uint64, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
