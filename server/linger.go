package server

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

const (
	// After a refusal, the rest of the body is read and discarded, up to lingerBytes and for
	// lingerTime. A client that writes its body before it reads the response would otherwise
	// see a broken connection, and repeat the request.
	lingerBytes = 8 << 20
	lingerTime  = 2 * time.Second
	// lingerSlots limits how many connections linger at once.
	lingerSlots = 64
)

// linger reads the rest of refused bodies before their connections close.
type linger struct{ slots slots }

func newLinger() linger { return linger{make(slots, lingerSlots)} }

// drain discards the rest of a body that was not read. It runs after the response.
func (l linger) drain(c echo.Context) {
	r := c.Request()
	if _, isRead := r.Body.(*contract.Body); isRead || r.Body == nil || r.ContentLength == 0 || c.Response().Header().Get("Connection") != "close" {
		return
	}
	select {
	case l.slots <- struct{}{}:
	default: // net/http would wait for the sender
		_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now())
		return
	}
	defer func() { <-l.slots }()
	connection := http.NewResponseController(c.Response())
	_ = connection.Flush() // the response is sent first
	_ = connection.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, lingerBytes))
}
