package server

import (
	"crypto/rand"

	"github.com/labstack/echo/v4"
)

const requestIDHeader = "X-Request-Id"

// setRequestID sets the response header X-Request-Id to 128 random bits. It ignores an id
// in the request, so that ids are unique and callers cannot write into the log.
func setRequestID(c echo.Context) { c.Response().Header().Set(requestIDHeader, rand.Text()) }

// requestID returns the id that setRequestID chose.
func requestID(c echo.Context) string { return c.Response().Header().Get(requestIDHeader) }
