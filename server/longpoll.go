package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/flowcallback/flowcallback/openapi/contract"
)

// waitSecondsParameter is the query parameter that makes a request a long-poll, for
// operations that declare it. The contract check limits its value.
const waitSecondsParameter = "wait_seconds"

// isLongPoll returns whether a request for the operation is a long-poll. The request need
// not be valid.
func isLongPoll(operation *contract.Operation) func(*http.Request) bool {
	declared := operation.HasQuery(waitSecondsParameter)
	return func(r *http.Request) bool { return declared && r.URL.Query().Has(waitSecondsParameter) }
}

// longPollTime returns how long a valid request asks to wait, or 0 if it is no long-poll.
func longPollTime(operation *contract.Operation) func(*http.Request) time.Duration {
	declared := operation.HasQuery(waitSecondsParameter)
	return func(r *http.Request) time.Duration {
		if !declared {
			return 0
		}
		seconds, _ := strconv.Atoi(r.URL.Query().Get(waitSecondsParameter))
		return time.Duration(seconds) * time.Second
	}
}

// longPoll calls read, which may block for as many seconds. When the server stops,
// longPoll ends that call and reads once more without waiting.
func longPoll[T any](ctx, stopping context.Context, seconds int, read func(ctx context.Context, wait time.Duration) (T, error)) (T, error) {
	if seconds == 0 {
		return read(ctx, 0)
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stopping, cancel)()
	value, err := read(waiting, time.Duration(seconds)*time.Second)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return read(ctx, 0)
	}
	return value, err
}
