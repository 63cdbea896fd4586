package server

import (
	"io"
	"net/http"
	"sync"
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
	// lingerSlots limits how many connections linger at once, and lingerPerClient how many of one address.
	lingerSlots     = 64
	lingerPerClient = 16
)

// linger reads the rest of refused bodies before their connections close.
type linger struct {
	mu      sync.Mutex
	all     int
	clients map[string]int // how many connections of an address linger
}

func newLinger() *linger { return &linger{clients: map[string]int{}} }

// enter reports whether one more connection of a client may linger.
func (l *linger) enter(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == lingerSlots || l.clients[client] == lingerPerClient {
		return false
	}
	l.all++
	l.clients[client]++
	return true
}

func (l *linger) leave(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

// drain discards the rest of a body that was not read. It runs after the response.
func (l *linger) drain(c echo.Context) {
	r := c.Request()
	if _, isRead := r.Body.(*contract.Body); isRead || r.Body == nil || r.ContentLength == 0 || c.Response().Header().Get("Connection") != "close" {
		return
	}
	connection := http.NewResponseController(c.Response())
	client := requestIn(c).client
	if !l.enter(client) { // net/http would wait for the sender
		_ = connection.SetReadDeadline(time.Now())
		return
	}
	defer l.leave(client)
	_ = connection.Flush() // the response is sent first
	_ = connection.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, lingerBytes))
}
