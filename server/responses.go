package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/server/engine"
)

// A response must be read at minResponseRate bytes a second, and may be late by
// responseGrace. Otherwise its connection is closed.
const (
	minResponseRate = 16 << 10
	responseGrace   = 10 * time.Second
)

// responses limits the memory of responses that are being written, so that clients that do
// not read them cannot use it up.
type responses struct{ memory *memory }

// account takes memory for the response of an operation, or refuses with
// engine.ErrOverloaded. release returns it.
func (r responses) account(next waitsserver.StrictHandlerFunc, _ string) waitsserver.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		response, err := next(c, request)
		if err != nil {
			return response, err
		}
		size := sizeOf(response)
		held := &share{memory: r.memory, owner: ownerOf(c)}
		if !held.take(size) {
			return nil, fmt.Errorf("memory for responses: %w", engine.ErrOverloaded)
		}
		requestIn(c).response = held
		_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(responseGrace + time.Duration(size)*time.Second/minResponseRate))
		return response, nil
	}
}

// release returns the memory of a response after it was written.
func (responses) release(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		defer func() {
			if held := requestIn(c).response; held != nil {
				held.release()
			}
		}()
		return next(c)
	}
}

// sizeOf estimates the memory of a response: the waits and their JSON.
func sizeOf(response any) (size int64) {
	const (
		fixed  = 2 << 10 // of a wait without input and output
		copies = 2       // decoded and encoded
	)
	var list []waits.Wait
	if held, ok := response.(waitsserver.ListHeld200JSONResponse); ok {
		return fixed * int64(len(held.Body.Held))
	}
	switch r := response.(type) {
	case waitsserver.ShowLink200TextHTMLResponse:
		return sizeOfPage(r.Body)
	case waitsserver.DecideByLink200TextHTMLResponse:
		return sizeOfPage(r.Body)
	case waitsserver.DecideByLink400TextHTMLResponse:
		return sizeOfPage(r.Body)
	case waitsserver.OpenWait200JSONResponse:
		list = []waits.Wait{r.Body}
	case waitsserver.OpenWait201JSONResponse:
		list = []waits.Wait{r.Body}
	case waitsserver.ChangeWait200JSONResponse:
		list = []waits.Wait{r.Body}
	case waitsserver.ListWaits200JSONResponse:
		list = r.Body.Waits
	case waitsserver.ListOutcomes200JSONResponse:
		list = r.Body.Outcomes
	case waitsserver.GetWait200JSONResponse:
		list = []waits.Wait{r.Body}
	}
	for _, wait := range list {
		size += fixed + int64(copies*(len(wait.Input)+len(wait.OutputSchema)))
		if wait.Outcome != nil {
			size += int64(copies * len(wait.Outcome.Output))
		}
	}
	return size
}

// sizeOfPage returns the size of a page, which is a buffer.
func sizeOfPage(page io.Reader) int64 {
	buffer, ok := page.(*bytes.Buffer)
	if !ok {
		return 0
	}
	return int64(buffer.Len())
}
