package server

import (
	"errors"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// enforce refuses every request that the contract does not allow for the operation.
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

// pathValues returns the decoded values in the path, as handlers receive them.
func pathValues(c echo.Context) (contract.PathValues, error) {
	values := contract.PathValues{Names: c.ParamNames(), Values: c.ParamValues()}
	if c.Request().URL.RawPath == "" {
		return values, nil
	}
	values.Values = slices.Clone(values.Values) // they belong to echo
	for i, raw := range values.Values {
		var err error
		if values.Values[i], err = pathValue(c, values.Names[i], raw); err != nil {
			return values, err
		}
	}
	return values, nil
}

// pathValue decodes a value in the path once. Echo routes by URL.RawPath if it is set, and
// else by URL.Path, which net/http has already decoded.
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

// binder binds the checked body for the generated server.
type binder struct{}

// Bind implements echo.Binder.
func (binder) Bind(target any, c echo.Context) error {
	body, ok := c.Request().Body.(*contract.Body)
	if !ok {
		return errors.New("the body was not checked")
	}
	return body.Bind(target)
}
