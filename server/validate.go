package server

import (
	"net/url"

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

// pathValues returns the values in the path, decoded once: echo matches the path as it was
// sent, unless net/http found nothing in it that needs its escaping kept.
func pathValues(c echo.Context) (map[string]string, error) {
	escaped := c.Request().URL.RawPath != ""
	names, raw := c.ParamNames(), c.ParamValues()
	values := make(map[string]string, len(names))
	for i, name := range names {
		value := raw[i]
		if escaped {
			var err error
			if value, err = url.PathUnescape(value); err != nil {
				return nil, &contract.Violation{Member: name, Rule: "must be well-formed"}
			}
		}
		values[name] = value
	}
	return values, nil
}
