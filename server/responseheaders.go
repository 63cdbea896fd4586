package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// Values of headers that are shared by all responses, and never changed.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// setResponseHeaders sets the headers that keep responses out of caches, and browsers from
// guessing what they are.
func setResponseHeaders(c echo.Context) {
	header := c.Response().Header()
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	if c.Request().TLS != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// setPageHeaders sets the headers of a page for people: what it may load, and that the pages it
// links to do not learn its address.
func setPageHeaders(header http.Header, policy string) {
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
}
