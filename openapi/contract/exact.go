package contract

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// kin-openapi compares numbers as float64, which takes some for their neighbours. This file judges
// the numbers of an output with every digit, and makes those that do not fit in a float64 fit, so
// that kin-openapi can read them.

const (
	// maxExponent limits the powers of ten that are computed. Larger numbers are beyond every limit
	// that a schema can have, and smaller ones are next to zero.
	maxExponent = 400
	// maxDigits limits the digits that are computed. Whether there are more is known all the same.
	maxDigits = 1000
)

// exactSchema has what a schema says of numbers, computed once.
type exactSchema struct {
	minimum, maximum *limitOf
	isInteger        bool
	enum             map[string]bool // of numbers, in lowest terms; nil if there is no enum
	enumRule         string
	properties       map[string]*exactSchema
	items            *exactSchema
}

type limitOf struct {
	exactly
	text string
}

// newExactSchema compiles a schema that was decoded with its numbers as json.Number.
func newExactSchema(schema map[string]any) *exactSchema {
	s := &exactSchema{isInteger: schema["type"] == openapi3.TypeInteger, properties: map[string]*exactSchema{}}
	for name, limit := range map[string]**limitOf{"minimum": &s.minimum, "maximum": &s.maximum} {
		if number, ok := schema[name].(json.Number); ok {
			*limit = &limitOf{parseNumber(number), string(number)}
		}
	}
	if allowed, ok := schema["enum"].([]any); ok {
		s.enum, s.enumRule = map[string]bool{}, "must be "+anyOf(allowed)
		for _, one := range allowed {
			if number, isNumber := one.(json.Number); isNumber {
				s.enum[parseNumber(number).key()] = true
			}
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		if inside, ok := property.(map[string]any); ok {
			s.properties[name] = newExactSchema(inside)
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		s.items = newExactSchema(items)
	}
	return s
}

// hasFarNumbers reports whether a limit is so close to zero that numbers cannot be compared with it.
func (s *exactSchema) hasFarNumbers() bool {
	for _, limit := range []*limitOf{s.minimum, s.maximum} {
		if limit != nil && limit.rat == nil {
			return true
		}
	}
	if s.enum[""] || s.items != nil && s.items.hasFarNumbers() {
		return true
	}
	for _, property := range s.properties {
		if property.hasFarNumbers() {
			return true
		}
	}
	return false
}

// check returns the first violation of a rule for numbers in a value, or nil. It replaces numbers
// in value.
func (s *exactSchema) check(value *any, path string) *Violation {
	switch v := (*value).(type) {
	case json.Number:
		number := parseNumber(v)
		*value = number.fitting()
		return s.checkNumber(number, path)
	case map[string]any:
		for name, property := range s.properties {
			if member, ok := v[name]; ok {
				broken := property.check(&member, path+"."+name)
				v[name] = member
				if broken != nil {
					return broken
				}
			}
		}
	case []any:
		for i := range v {
			if s.items == nil {
				return nil
			}
			if broken := s.items.check(&v[i], path+"."+strconv.Itoa(i)); broken != nil {
				return broken
			}
		}
	}
	return nil
}

func (s *exactSchema) checkNumber(number exactly, path string) *Violation {
	switch {
	case s.minimum != nil && number.compare(s.minimum.rat) < 0:
		return &Violation{Member: path, Rule: "must be at least " + s.minimum.text}
	case s.maximum != nil && number.compare(s.maximum.rat) > 0:
		return &Violation{Member: path, Rule: "must be at most " + s.maximum.text}
	case s.isInteger && !number.isInteger():
		return &Violation{Member: path, Rule: "must be an integer"}
	case s.enum != nil && (number.rat == nil || !s.enum[number.key()]):
		return &Violation{Member: path, Rule: s.enumRule}
	}
	return nil
}

// exactly is a number of JSON: a rational number, or one that is too large or too close to zero to
// be computed.
type exactly struct {
	rat     *big.Rat
	sign    int
	large   bool
	isWhole bool // of one that is not computed
}

func parseNumber(number json.Number) exactly {
	mantissa, power, _ := strings.Cut(strings.ToLower(string(number)), "e")
	mantissa, isNegative := strings.CutPrefix(mantissa, "-")
	sign := 1
	if isNegative {
		sign = -1
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return exactly{rat: new(big.Rat)}
	}
	// The number is 0.digits times ten to the power of point.
	point := len(digits) - len(fraction)
	digits = strings.TrimRight(digits, "0")
	if power != "" {
		exponent, err := strconv.Atoi(power)
		if err != nil || exponent > 1<<30 || exponent < -1<<30 {
			return exactly{sign: sign, large: power[0] != '-', isWhole: power[0] != '-'}
		}
		point += exponent
	}
	if point > maxExponent || point < -maxExponent {
		return exactly{sign: sign, large: point > 0, isWhole: len(digits) <= point}
	}
	if len(digits) > maxDigits {
		digits = digits[:maxDigits] + "1" // the number is between two of so many digits
	}
	rat, _ := new(big.Rat).SetString(digits + "e" + strconv.Itoa(point-len(digits)))
	if isNegative {
		rat.Neg(rat)
	}
	return exactly{rat: rat, sign: sign}
}

// key returns the number in lowest terms, and "" for one that is not computed.
func (e exactly) key() string {
	if e.rat == nil {
		return ""
	}
	return e.rat.RatString()
}

func (e exactly) isInteger() bool { return e.rat == nil && e.isWhole || e.rat != nil && e.rat.IsInt() }

// compare is negative if the number is less than a limit, and positive if it is greater.
func (e exactly) compare(limit *big.Rat) int {
	switch {
	case limit == nil:
		return 0 // refused when the wait was opened
	case e.rat != nil:
		return e.rat.Cmp(limit)
	case e.large || limit.Sign() == 0:
		return e.sign
	default: // next to zero
		return -limit.Sign()
	}
}

// fitting returns the nearest number that fits in a float64.
func (e exactly) fitting() json.Number {
	nearest := 0.0
	if e.rat != nil {
		nearest, _ = e.rat.Float64()
	}
	if e.rat == nil && e.large || math.IsInf(nearest, 0) {
		nearest = math.Copysign(math.MaxFloat64, float64(e.sign))
	}
	return json.Number(strconv.FormatFloat(nearest, 'g', -1, 64))
}
