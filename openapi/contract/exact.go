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

// maxExponent limits the powers of ten that are computed. Larger numbers are beyond every limit that
// a schema can have, and smaller ones are next to zero.
const maxExponent = 400

// maxDigits limits the digits that are computed. Whether there are more is known all the same.
const maxDigits = 1000

// exactNumbers returns the first violation of a rule for numbers in a value, or nil. schema is the
// decoded schema, with its numbers as json.Number. It replaces numbers in value.
func exactNumbers(schema map[string]any, value *any, path string) *Violation {
	switch v := (*value).(type) {
	case json.Number:
		number := parseNumber(v)
		*value = number.fitting()
		return number.check(schema, path)
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		for name, property := range properties {
			member, ok := v[name]
			if inside, isSchema := property.(map[string]any); ok && isSchema {
				broken := exactNumbers(inside, &member, path+"."+name)
				v[name] = member
				if broken != nil {
					return broken
				}
			}
		}
	case []any:
		if items, ok := schema["items"].(map[string]any); ok {
			for i := range v {
				if broken := exactNumbers(items, &v[i], path+"."+strconv.Itoa(i)); broken != nil {
					return broken
				}
			}
		}
	}
	return nil
}

// check returns the rule of a schema that the number breaks, or nil.
func (e exactly) check(schema map[string]any, path string) *Violation {
	if minimum, ok := schema["minimum"].(json.Number); ok && e.compare(parseNumber(minimum)) < 0 {
		return &Violation{Member: path, Rule: "must be at least " + string(minimum)}
	}
	if maximum, ok := schema["maximum"].(json.Number); ok && e.compare(parseNumber(maximum)) > 0 {
		return &Violation{Member: path, Rule: "must be at most " + string(maximum)}
	}
	if schema["type"] == openapi3.TypeInteger && !e.isInteger() {
		return &Violation{Member: path, Rule: "must be an integer"}
	}
	if allowed, ok := schema["enum"].([]any); ok {
		for _, one := range allowed {
			if number, isNumber := one.(json.Number); isNumber && e.compare(parseNumber(number)) == 0 {
				return nil
			}
		}
		return &Violation{Member: path, Rule: "must be " + anyOf(allowed)}
	}
	return nil
}

// exactly is a number of JSON: a rational number, or one that is too large or too close to zero to
// be computed.
type exactly struct {
	rat   *big.Rat
	sign  int
	large bool
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
	if power != "" {
		exponent, err := strconv.Atoi(power)
		if err != nil || exponent > 1<<30 || exponent < -1<<30 {
			return exactly{sign: sign, large: power[0] != '-'}
		}
		point += exponent
	}
	if point > maxExponent || point < -maxExponent {
		return exactly{sign: sign, large: point > 0}
	}
	if len(digits) > maxDigits {
		rest := strings.Trim(digits[maxDigits:], "0")
		if digits = digits[:maxDigits]; rest != "" {
			digits += "1" // the number is between two of so many digits
		}
	}
	rat, _ := new(big.Rat).SetString(digits + "e" + strconv.Itoa(point-len(digits)))
	if isNegative {
		rat.Neg(rat)
	}
	return exactly{rat: rat, sign: sign}
}

func (e exactly) isInteger() bool { return e.rat == nil && e.large || e.rat != nil && e.rat.IsInt() }

// compare is negative if e is less than another, which is a limit of a schema.
func (e exactly) compare(other exactly) int {
	switch {
	case other.rat == nil:
		other.rat = new(big.Rat) // a limit next to zero
	case e.rat != nil:
		return e.rat.Cmp(other.rat)
	}
	if e.rat != nil {
		return e.rat.Cmp(other.rat)
	}
	if e.large {
		return e.sign
	}
	if sign := -other.rat.Sign(); sign != 0 { // next to zero
		return sign
	}
	return e.sign
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
