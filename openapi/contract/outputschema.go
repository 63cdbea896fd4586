package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	lru "github.com/hashicorp/golang-lru/v2"
)

// An OutputJudge checks outputs of callbacks against the schemas of their waits. It is safe for
// concurrent use.
type OutputJudge struct {
	rule     *openapi3.Schema                  // of schemas for outputs
	compiled *lru.Cache[string, *outputSchema] // by their JSON
}

// rememberedSchemas limits the schemas that are compiled in memory.
const rememberedSchemas = 32

// NewOutputJudge returns a judge with the limits of the contract, which must be that of Waits.
func (c *Contract) NewOutputJudge() *OutputJudge {
	compiled, err := lru.New[string, *outputSchema](rememberedSchemas)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &OutputJudge{c.document.Components.Schemas["OutputSchema"].Value, compiled}
}

// Judge returns a *Violation unless output is what schema asks for. Both passed CheckRequest: the
// schema when its wait was opened, the output as that of a callback.
func (j *OutputJudge) Judge(schema, output []byte) error {
	s, ok := j.compiled.Get(string(schema))
	if !ok {
		var err error
		if s, err = compileOutputSchema(schema, limit(j.rule, "x-max-pattern-text")); err != nil {
			return err
		}
		j.compiled.Add(string(schema), s)
	}
	decoder := json.NewDecoder(bytes.NewReader(output))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	broken := s.exact.check(&value, "output")
	err := s.VisitJSON(value, s.options...)
	switch {
	case err == nil && broken == nil:
		return nil
	case err == nil:
		return broken
	}
	v := violation(err)
	if v.Member == "body" {
		v.Member = "output"
	} else {
		v.Member = "output." + v.Member
	}
	return v
}

// outputSchema is a compiled schema. Its patterns are formats, because kin-openapi keeps every
// pattern that it has compiled forever.
type outputSchema struct {
	openapi3.Schema
	options []openapi3.SchemaValidationOption
	exact   *exactSchema
}

// textRule is the rule that a text breaks.
type textRule string

func (r textRule) Error() string { return string(r) }

// compileOutputSchema compiles a schema whose patterns match at most as many characters.
func compileOutputSchema(text []byte, maxPatternText int) (*outputSchema, error) {
	s := &outputSchema{}
	if err := json.Unmarshal(text, &s.Schema); err != nil {
		return nil, fmt.Errorf("reading an output schema: %w", err)
	}
	exact, err := readExactSchema(text)
	if err != nil {
		return nil, fmt.Errorf("reading an output schema: %w", err)
	}
	s.exact = exact
	var failures []error
	walk(&s.Schema, func(path string, schema *openapi3.Schema) {
		if schema.Pattern == "" {
			return
		}
		pattern, err := regexp.Compile(schema.Pattern)
		if err != nil {
			failures = append(failures, fmt.Errorf("compiling the pattern of %s: %w", path, err))
			return
		}
		name := "pattern " + strconv.Itoa(len(s.options))
		kind := schema.Format
		format, isFormat := openapi3.SchemaStringFormats[kind]
		s.options = append(s.options, openapi3.WithStringFormatValidator(name, openapi3.NewCallbackValidator(func(value string) error {
			switch {
			case utf8.RuneCountInString(value) > maxPatternText:
				return textRule(fmt.Sprintf("must have at most %d characters, because it has a pattern", maxPatternText))
			case !pattern.MatchString(value):
				return textRule("must match the pattern " + pattern.String())
			case isFormat && format.Validate(value) != nil:
				return textRule(formatRules[kind])
			default:
				return nil
			}
		})))
		schema.Format, schema.Pattern = name, ""
	})
	return s, errors.Join(failures...)
}

// readExactSchema returns what a schema says of numbers, with every digit.
func readExactSchema(text []byte) (*exactSchema, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var schema map[string]any
	if err := decoder.Decode(&schema); err != nil {
		return nil, err
	}
	return newExactSchema(schema), nil
}

// walk visits a schema and those inside of it, with their places.
func walk(schema *openapi3.Schema, visit func(path string, schema *openapi3.Schema)) {
	var inside func(path string, schema *openapi3.Schema)
	inside = func(path string, schema *openapi3.Schema) {
		visit(path, schema)
		for name, property := range schema.Properties {
			inside(path+".properties."+name, property.Value)
		}
		if schema.Items != nil {
			inside(path+".items", schema.Items.Value)
		}
	}
	inside("output_schema", schema)
}

// checkOutputSchema checks what JSON Schema cannot say of a schema that a body has: its size, and
// its patterns. rule has the limits.
func checkOutputSchema(name string, rule *openapi3.Schema, text []byte) error {
	if most := limit(rule, "x-max-bytes"); len(text) > most {
		return &Violation{Member: name, Rule: fmt.Sprintf("must have at most %d bytes", most)}
	}
	var schema openapi3.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		return &Violation{Member: name, Rule: "cannot be read"}
	}
	if exact, err := readExactSchema(text); err != nil || exact.hasFarNumbers() {
		return &Violation{Member: name, Rule: "has a number that is too close to zero"}
	}
	var found *Violation
	steps := limit(rule, "x-max-pattern-size")
	walk(&schema, func(path string, s *openapi3.Schema) {
		for name := range s.Properties {
			if most := limit(rule, "x-max-name-length"); found == nil && utf8.RuneCountInString(name) > most {
				found = &Violation{Member: "output_schema", Rule: fmt.Sprintf("the name of a member must have at most %s", counted(uint64(most), "character"))}
			}
		}
		if s.Pattern == "" || found != nil {
			return
		}
		parsed, err := syntax.Parse(s.Pattern, syntax.Perl)
		if err != nil {
			found = &Violation{Member: path + ".pattern", Rule: "must be a regular expression of RE2: " + syntaxRule(err)}
			return
		}
		if patternSize(parsed) > steps {
			found = &Violation{Member: path + ".pattern", Rule: fmt.Sprintf("must have at most %d steps, where a repetition counts as often as it repeats", steps)}
		}
	})
	if found != nil {
		return found
	}
	return nil
}

func syntaxRule(err error) string {
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		return wrong.Code.String()
	}
	return "it cannot be read"
}

// patternSize returns about how many instructions a pattern has when it is compiled.
func patternSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += patternSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return size
}

// limit returns a number of an extension of a schema, or 0.
func limit(schema *openapi3.Schema, name string) int {
	n, _ := schema.Extensions[name].(float64)
	return int(n)
}
