package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
)

// read takes the results of a generated client's method. The returned function decodes the
// body of a response with one of the given statuses, and returns an error for any other.
func read[T any](answer *http.Response, err error) func(statuses ...int) (T, error) {
	return func(statuses ...int) (value T, _ error) {
		if err != nil {
			return value, fmt.Errorf("client: %w", err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return value, fmt.Errorf("client: reading the response: %w", err)
		}
		if !slices.Contains(statuses, answer.StatusCode) {
			return value, responseError(answer.StatusCode, answer.Header, body)
		}
		if answer.StatusCode == http.StatusNoContent {
			return value, nil
		}
		mediaType, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
		if mediaType != "application/json" || json.Unmarshal(body, &value) != nil {
			return value, &Error{
				StatusCode: answer.StatusCode,
				Message:    "unexpected response: " + describe(answer.StatusCode, answer.Header, body),
				RequestID:  answer.Header.Get("X-Request-Id"),
			}
		}
		return value, nil
	}
}
