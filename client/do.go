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
)

// maxAnswer bounds the memory that an answer may take: far above the largest page of this
// API, far below what hurts.
const maxAnswer = 64 << 20

// doer sends a request until it is answered for good. Every operation of the two contracts
// may be repeated, so it repeats all of them.
type doer struct {
	http           *http.Client
	timeout        time.Duration
	retryFor       time.Duration
	first, longest time.Duration
	userAgent      string
	projectID      string
	authenticate   func(r *http.Request, body []byte) error
	check          func(*http.Request) error
}

// Do implements the generated clients' HttpRequestDoer. The answer's body is in memory.
func (d *doer) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", d.userAgent)
	if d.check != nil {
		if err := d.check(r); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	var last *http.Response
	attempt := func() (*http.Response, error) {
		var err error
		if last, err = d.once(r); err != nil {
			return nil, permanentOr(r.Context(), err)
		}
		if !retryable(last.StatusCode) {
			return last, nil
		}
		if pause, ok := retryAfter(last.Header); ok && pause >= d.first {
			return nil, &backoff.RetryAfterError{Duration: pause}
		}
		return nil, errors.New(last.Status)
	}
	if d.retryFor == 0 {
		answer, err := d.once(r)
		return answer, err
	}
	answer, err := backoff.Retry(r.Context(), attempt,
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval: d.first, MaxInterval: d.longest, Multiplier: 2, RandomizationFactor: 0.5,
		}),
		backoff.WithMaxElapsedTime(d.retryFor))
	switch {
	case err == nil:
		return answer, nil
	case last != nil && r.Context().Err() == nil:
		return last, nil // the last answer says more than that time is over
	case last != nil:
		return nil, fmt.Errorf("%w, after the answer %s", err, last.Status)
	default:
		return nil, err
	}
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
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, backoff.Permanent(fmt.Errorf("the answer is larger than %d bytes", maxAnswer))
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// attempt returns a copy of r to send, with its body from the start and credentials of its
// own.
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

func retryable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// permanentOr marks what another attempt cannot mend: the caller's context has ended, or
// the connection is not one to trust.
func permanentOr(ctx context.Context, err error) error {
	text := err.Error()
	if ctx.Err() != nil || strings.Contains(text, "tls: ") || strings.Contains(text, "x509: ") {
		return backoff.Permanent(err)
	}
	return err
}

// retryAfter reads the pause that the server asks for: seconds or a date (RFC 9110,
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

// withoutURL takes the URL, which may hold a password, out of an error of net/http.
func withoutURL(err error) error {
	var failure *url.Error
	if errors.As(err, &failure) {
		return failure.Err
	}
	return err
}

// forTransport returns a copy of c that follows no redirects and leaves time to the doer.
func forTransport(c *http.Client) *http.Client {
	copied := *c
	copied.Timeout = 0
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}
