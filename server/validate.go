package server

import (
	"errors"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// enforce lets requests through that the contract allows for the operation, and nothing
// else. The route is echo's match; the path's values are judged decoded, as the handler
// gets them.
func enforce(operation *contract.Operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			values, err := pathValues(c)
			if err != nil {
				return err
			}
			if err := operation.CheckRequest(c.Request().Context(), c.Request(), values); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// pathValues returns the values in the path.
func pathValues(c echo.Context) (contract.PathValues, error) {
	values := contract.PathValues{Names: c.ParamNames(), Values: c.ParamValues()}
	if c.Request().URL.RawPath == "" {
		return values, nil
	}
	values.Values = slices.Clone(values.Values) // they are echo's
	for i, raw := range values.Values {
		var err error
		if values.Values[i], err = pathValue(c, values.Names[i], raw); err != nil {
			return values, err
		}
	}
	return values, nil
}

// pathValue decodes a value in the path, once: echo matches the path as it was sent, unless
// net/http found nothing in it that needs its escaping kept.
func pathValue(c echo.Context, name, raw string) (string, error) {
	if c.Request().URL.RawPath == "" {
		return raw, nil
	}
	value, err := url.PathUnescape(raw)
	if err != nil {
		return "", &contract.Violation{Member: name, Rule: "must be well-formed"}
	}
	return value, nil
}

// binder hands the generated stubs the body that enforce has judged.
type binder struct{}

// Bind implements echo.Binder.
func (binder) Bind(target any, c echo.Context) error {
	body, ok := c.Request().Body.(*contract.Body)
	if !ok {
		return errors.New("the body was not judged")
	}
	return body.Bind(target)
}
