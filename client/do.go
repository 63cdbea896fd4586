package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// maxResponse limits the memory that a response takes. It is far larger than the largest page
// of this API.
const maxResponse = 64 << 20

// doer sends a request until it has a final response. Every operation of the two contracts
// is safe to repeat, so it repeats all of them.
type doer struct {
	http             *http.Client
	timeout          time.Duration
	retryFor         time.Duration
	retryNotFoundFor time.Duration
	first, longest   time.Duration
	userAgent        string
	projectID        string
	authenticate     func(r *http.Request, body []byte) error
	check            func(*http.Request) error
	notify           func(cause error, left time.Duration)
}

// Do implements HttpRequestDoer of the generated clients. The body of the response is in
// memory.
func (d *doer) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", d.userAgent)
	if d.check != nil {
		if err := d.check(r); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	answer, err := d.repeat(r)
	if err != nil && r.Context().Err() == nil && !errors.Is(err, ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return answer, err
}

// repeat makes attempts until one has a final response or the time for retries is over.
func (d *doer) repeat(r *http.Request) (*http.Response, error) {
	pauses := &pauses{BackOff: &backoff.ExponentialBackOff{
		InitialInterval: d.first, MaxInterval: d.longest, Multiplier: 2, RandomizationFactor: 0.5,
	}}
	var last *http.Response
	var cause error // why the last attempt failed
	attempt := func() (*http.Response, error) {
		pauses.total = d.retryFor
		if last, cause = d.once(r); cause != nil {
			return nil, permanentOr(r.Context(), cause)
		}
		switch {
		case retryable(last):
		case d.isEarly(r, last):
			pauses.total = d.retryNotFoundFor
		default:
			return last, nil
		}
		cause = errors.New(last.Status)
		if pause, ok := retryAfter(last.Header); ok && pause >= d.first {
			if pause > pauses.left() {
				return nil, backoff.Permanent(cause)
			}
			return nil, &backoff.RetryAfterError{Duration: pause}
		}
		return nil, cause
	}
	notify := func(error, time.Duration) {
		if d.notify != nil {
			d.notify(cause, pauses.left())
		}
	}
	answer, err := backoff.Retry(r.Context(), attempt, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0), backoff.WithNotify(notify))
	switch {
	case err == nil:
		return answer, nil
	case r.Context().Err() != nil:
		return nil, fmt.Errorf("%w; the last attempt: %w", r.Context().Err(), cause)
	case last != nil:
		return last, nil // the last response says more than that the time is over
	default:
		return nil, cause
	}
}

// pauses are the pauses between attempts. They end when total, which depends on the last
// failure, has passed since the first pause, so the time of the first attempt, such as a
// long-poll's, does not count. The last
// pause is shortened, so that the last attempt starts when the time is over.
type pauses struct {
	backoff.BackOff
	total time.Duration
	since time.Time
}

// NextBackOff implements backoff.BackOff.
func (p *pauses) NextBackOff() time.Duration {
	left := p.left()
	if left <= 0 {
		return backoff.Stop
	}
	return min(p.BackOff.NextBackOff(), left)
}

// left returns the time that is left.
func (p *pauses) left() time.Duration { return p.total - p.passed() }

// passed returns the time since the first pause.
func (p *pauses) passed() time.Duration {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	return time.Since(p.since)
}

// once makes one attempt.
func (d *doer) once(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if d.timeout > 0 {
		seconds, _ := strconv.Atoi(r.URL.Query().Get("wait_seconds"))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout+time.Duration(seconds)*time.Second)
		defer cancel()
	}
	attempt, err := d.attempt(ctx, r)
	if err != nil {
		return nil, err
	}
	answer, err := d.http.Do(attempt)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxResponse+1))
	if err != nil {
		return nil, fmt.Errorf("reading the response: %w", err)
	}
	if len(body) > maxResponse {
		return nil, backoff.Permanent(fmt.Errorf("the response is larger than %d bytes", maxResponse))
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// attempt returns a copy of r with an unread body and new credentials.
func (d *doer) attempt(ctx context.Context, r *http.Request) (*http.Request, error) {
	copied := r.Clone(ctx)
	var body []byte
	if r.GetBody != nil {
		reader, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(reader); err != nil {
			return nil, err
		}
		copied.Body = io.NopCloser(bytes.NewReader(body))
	}
	if d.authenticate == nil {
		return copied, nil
	}
	return copied, d.authenticate(copied, body)
}

// retryable reports whether another attempt may get a better response. A 404 that is not the
// contract's comes from a proxy or gateway, for example during a rollout.
func retryable(response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusNotFound:
		return !isContractError(response)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// isEarly reports whether a callback may have come before its state waits, and is to be
// retried.
func (d *doer) isEarly(r *http.Request, response *http.Response) bool {
	return d.retryNotFoundFor > 0 && response.StatusCode == http.StatusNotFound && r.Method == http.MethodPost &&
		strings.HasSuffix(r.URL.Path, "/callback") && errorOf(response).Code == callback.CodeNotFound
}

// isContractError reports whether the body, which is in memory, is the contract's error body.
func isContractError(response *http.Response) bool {
	return isContractCode(errorOf(response).Code)
}

// errorOf returns the error in a response whose body is in memory, and leaves the body unread.
func errorOf(response *http.Response) *Error {
	body, _ := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return responseError(response.StatusCode, response.Header, body)
}

// permanentOr marks an error as permanent if another attempt would fail too: the context of
// the caller has ended, or the connection cannot be trusted.
func permanentOr(ctx context.Context, err error) error {
	text := err.Error()
	for _, hopeless := range []string{"tls: ", "x509: ", "HTTP response to HTTPS client", "invalid header field", "unsupported protocol"} {
		if ctx.Err() != nil || strings.Contains(text, hopeless) {
			return backoff.Permanent(err)
		}
	}
	return err
}

// retryAfter returns the pause that the server asks for, in seconds or as a date (RFC 9110,
// section 10.2.3).
func retryAfter(header http.Header) (time.Duration, bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(date)), true
	}
	return 0, false
}

// withoutURL removes the URL, which may contain a password, from an error of net/http.
func withoutURL(err error) error {
	var failure *url.Error
	if errors.As(err, &failure) {
		return failure.Err
	}
	return err
}

// forTransport returns a copy of c without a timeout, which follows no redirects.
func forTransport(c *http.Client) *http.Client {
	copied := *c
	copied.Timeout = 0
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}
