package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// preflight finds out whether the API is there, and what the server does with unknown states.
func (r *runner) preflight(ctx context.Context) error {
	q := r.probe
	if err := r.check(ctx, q); err != nil {
		return err
	}
	a, err := r.send(ctx, q)
	var lost noAnswer
	switch {
	case errors.As(err, &lost):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case err != nil:
		return err
	case a.status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %v", ErrCredentials, a)
	case a.status == http.StatusForbidden:
		return fmt.Errorf("%w: they do not allow callbacks in this project; --project-id names another: %v", ErrCredentials, a)
	case a.status >= 300 && a.status < 400:
		return fmt.Errorf("%w: a redirect to %s; give that address as the endpoint", ErrNoAPI, a.header.Get("Location"))
	case !a.isOurs(), a.status == http.StatusNotFound && a.code != callback.CodeNotFound:
		return fmt.Errorf("%w: %s is answered with %v; check the endpoint, and the path in it", ErrNoAPI, q.path, a)
	case a.status == http.StatusTooManyRequests, a.status >= http.StatusInternalServerError:
		return fmt.Errorf("%w: it answers callbacks with %v%s", ErrUnavailable, a, r.advice(a))
	}
	if r.holds = a.status == http.StatusOK; !r.holds {
		return nil
	}
	q.body = `{"result":"fail","error":"another outcome","output":{}}`
	if a, err = r.send(ctx, q); err == nil && a.status == http.StatusOK {
		err = fmt.Errorf("%w: it answers callbacks for unknown states with 200, and takes another outcome for the same state; a mock of the contract does that, and so does a server that forgets", ErrMock)
	}
	return err
}

// isOurs reports whether an answer can be one of this API: an error with a code, or a success with an object.
func (a answer) isOurs() bool {
	return a.code != "" || a.status == http.StatusOK && bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("{"))
}

// advice returns what can be done about a server that is busy.
func (r *runner) advice(a answer) string {
	switch seconds, err := strconv.Atoi(a.header.Get("Retry-After")); {
	case err == nil && time.Duration(seconds)*time.Second > r.options.Retry:
		return fmt.Sprintf("; it asks to wait for %d s, which --retry must allow", seconds)
	case r.holds:
		return "; it holds callbacks for unknown states, and may hold no more"
	default:
		return ""
	}
}
