package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/openapi/contract"
)

// request is a request of a case.
type request struct {
	method, path string
	header       http.Header
	body         string
	anyRefusal   bool // the contract leaves the status open
	isProject    bool // it tries another project id
	isSigned     bool // it is about a header, which a signature covers
	counts       bool // it is about characters that are several bytes
}

// An answer is a response of the server.
type answer struct {
	status int
	header http.Header
	body   []byte
	code   callback.ErrorCode // of an error body
	broken error              // what the contract says against the response
}

func (a answer) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %.200s", a.status, bytes.TrimSpace(a.body)))
}

type runner struct {
	endpoint  string
	published *contract.Contract
	options   Options
	holds     bool   // the server answers callbacks for unknown states with 200
	curl      string // the last request
}

const (
	mostWaits = 3 // for a server that says that there are too many requests
	longest   = 30 * time.Second
)

// send sends a request, and waits if the server says that there are too many.
func (r *runner) send(ctx context.Context, q request) (a answer, err error) {
	for range mostWaits {
		if a, err = r.sendOnce(ctx, q); err != nil || a.status != http.StatusTooManyRequests {
			break
		}
		seconds, _ := strconv.Atoi(a.header.Get("Retry-After"))
		select {
		case <-time.After(min(longest, max(time.Second, time.Duration(seconds)*time.Second))):
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
	if err == nil && a.status == http.StatusUnauthorized && !q.isSigned {
		err = fmt.Errorf("%w: %v", ErrCredentials, a)
	}
	if err == nil && a.status == http.StatusForbidden && !q.isProject {
		err = fmt.Errorf("%w: they do not allow callbacks in this project; --project-id names another: %v", ErrCredentials, a)
	}
	return a, err
}

func (r *runner) sendOnce(ctx context.Context, q request) (answer, error) {
	r.curl = curl(r.endpoint, q)
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	sent, err := http.NewRequestWithContext(ctx, q.method, r.endpoint+q.path, strings.NewReader(q.body))
	if err != nil {
		return answer{}, err
	}
	sent.Header = q.header.Clone()
	if err := r.options.Authenticate(sent, []byte(q.body)); err != nil {
		return answer{}, err
	}
	response, err := r.options.Transport.RoundTrip(sent)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return answer{}, fmt.Errorf("reading the response: %w", err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: body}
	var refusal callback.CallbackError
	if json.Unmarshal(body, &refusal) == nil {
		a.code = refusal.ErrorCode
	}
	if operation, _ := r.published.Match(sent); operation != nil {
		a.broken = operation.CheckResponse(ctx, sent, response.StatusCode, response.Header, body)
	}
	return a, nil
}

// preflight finds out whether the API is there, and what the server does with unknown states.
func (r *runner) preflight(ctx context.Context) error {
	l, err := newCaseList(r.options.ProjectID)
	if err != nil {
		return err
	}
	q, body := l.valid()
	q.body = textOf(body)
	a, err := r.send(ctx, q)
	switch {
	case err != nil:
		return err
	case a.status >= 300 && a.status < 400:
		return fmt.Errorf("%w: a redirect to %s; give that address as the endpoint", ErrNoAPI, a.header.Get("Location"))
	case a.status == http.StatusNotFound && a.code != callback.CodeNotFound:
		return fmt.Errorf("%w: %s is answered with %v; check the endpoint, and the path in it", ErrNoAPI, q.path, a)
	case a.status == http.StatusTooManyRequests, a.status >= http.StatusInternalServerError:
		return fmt.Errorf("%w: it answers the first callback with %v", ErrUnreachable, a)
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

// judge returns what is wrong with the answer to a case that is one request.
func (c Case) judge(a answer, holds bool) error {
	switch {
	case a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests:
		return fmt.Errorf("the server failed: %v", a)
	case a.status >= 300 && a.status < 400:
		return fmt.Errorf("a redirect to %s; the contract has none", a.header.Get("Location"))
	case a.broken != nil:
		return fmt.Errorf("the response breaks the contract: %w: %v", a.broken, a)
	}
	isRefused := a.status == http.StatusBadRequest && a.code == callback.CodeInvalid
	switch {
	case c.Allowed && holds && a.status == http.StatusOK, c.Allowed && a.status == http.StatusNotFound && a.code == callback.CodeNotFound:
		return nil
	case c.Allowed && isRefused && c.counts:
		return fmt.Errorf("the request is allowed; the server counts bytes or UTF-16 units, the contract counts code points: %v", a)
	case c.Allowed && isRefused:
		return fmt.Errorf("the request is allowed, and was refused: %v", a)
	case c.Allowed && a.status >= 200 && a.status < 300:
		return fmt.Errorf("the state is unknown, so %s with 404 is wanted, not a success: %v", callback.CodeNotFound, a)
	case c.Allowed:
		return fmt.Errorf("the state is unknown, so %s with 404 is wanted: %v", callback.CodeNotFound, a)
	case c.anyRefusal && (a.status < http.StatusBadRequest || a.code == callback.CodeNotFound):
		return fmt.Errorf("the contract does not allow the request, and it was carried out: %v", a)
	case !c.anyRefusal && !isRefused:
		return fmt.Errorf("the contract does not allow the request, so 400 with %s is wanted: %v", callback.CodeInvalid, a)
	}
	return nil
}

// unknownID returns an id that no server knows, with letters of both cases.
func unknownID() string { return "Conformance-" + strings.ToLower(rand.Text()) }

func textOf(body map[string]any) string {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // it is from a document
	}
	return string(text)
}

// curl returns a request as a command for a shell.
func curl(endpoint string, q request) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	parts := []string{"curl -i -X " + q.method + " " + quote(endpoint+q.path)}
	var names []string
	for name := range q.header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range q.header[name] {
			parts = append(parts, "-H "+quote(name+": "+value))
		}
	}
	const most = 500
	switch {
	case len(q.body) > most:
		parts = append(parts, fmt.Sprintf("--data-binary @- # %d bytes, beginning with %q", len(q.body), q.body[:60]))
	case q.body != "":
		parts = append(parts, "--data-binary "+quote(q.body))
	}
	return strings.Join(parts, " ")
}
