package server

import (
	"maps"
	"net/http"

	"github.com/labstack/echo/v4"
)

// responseHeaders are set on every response. Pages replace some of them. They must not be
// changed.
var responseHeaders = http.Header{
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"no-referrer"},
	"X-Content-Type-Options":  {"nosniff"},
}

// setResponseHeaders sets the headers that keep responses out of caches, and browsers from
// running or framing them.
func setResponseHeaders(c echo.Context) {
	header := c.Response().Header()
	maps.Copy(header, responseHeaders)
	if c.Request().TLS != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
