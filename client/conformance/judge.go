package conformance

import (
	"fmt"
	"net/http"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// judge returns what is wrong with the answer to a case that is one request.
func (c Case) judge(a answer, holds bool) error {
	switch {
	case c.anyRefusal && a.status == http.StatusNotImplemented: // RFC 9110, section 15.6.2: a method that it does not know
		return nil
	case a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests:
		return fmt.Errorf("the server failed: %v", a)
	case a.status >= 300 && a.status < 400:
		return fmt.Errorf("a redirect to %s; the contract has none", a.header.Get("Location"))
	case a.broken != nil && !c.anyRefusal: // what is in front of the server may refuse such requests in its own form
		return fmt.Errorf("the response breaks the contract: %w: %v", a.broken, a)
	}
	isRefused := a.status == http.StatusBadRequest && a.code == callback.CodeInvalid
	switch {
	case c.Allowed && holds && a.status == http.StatusOK, c.Allowed && a.status == http.StatusNotFound && a.code == callback.CodeNotFound:
		return nil
	case c.Allowed && isRefused && c.counts:
		return fmt.Errorf("the request is allowed; if the server counts bytes or UTF-16 units, the contract counts code points: %v", a)
	case c.Allowed && isRefused:
		return fmt.Errorf("the request is allowed, and was refused: %v", a)
	case c.Allowed && a.status >= 200 && a.status < 300:
		return fmt.Errorf("the state is unknown, so %s with 404 is wanted, not a success: %v", callback.CodeNotFound, a)
	case c.Allowed:
		return fmt.Errorf("the state is unknown, so %s with 404 is wanted: %v", callback.CodeNotFound, a)
	case c.anyRefusal && a.status < http.StatusBadRequest:
		return fmt.Errorf("the contract does not allow the request, and it was carried out: %v", a)
	case c.anyRefusal && a.code == callback.CodeNotFound:
		return fmt.Errorf("the contract does not allow the request, and it was answered as a callback for an unknown state: %v", a)
	case !c.anyRefusal && !isRefused:
		return fmt.Errorf("the contract does not allow the request, so 400 with %s is wanted: %v", callback.CodeInvalid, a)
	}
	return nil
}
