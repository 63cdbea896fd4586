package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/flowcallback/flowcallback/gen/callback"
)

// Succeed resumes the flow that waits at state and hands it output. output is a value that
// marshals to a JSON object, or a JSON object as json.RawMessage or []byte, which is sent
// byte for byte. nil is sent as {}; empty JSON is an error. After the server has stored the
// outcome durably, Succeed returns the id of the execution that continues.
//
// Repeating a call is safe: it returns the same result. ErrConflict means that the state
// already has another outcome; errors.go lists the other errors.
func (c *Client) Succeed(ctx context.Context, state State, output any) (executionID string, err error) {
	defer forState(&err, "succeed", state)
	return c.call(ctx, state, callback.Success, "", output)
}

// Fail resumes the flow that waits at state with a failure, a reason for people (left out if
// empty) and details in output. Otherwise it is like Succeed.
func (c *Client) Fail(ctx context.Context, state State, reason string, output any) (executionID string, err error) {
	defer forState(&err, "fail", state)
	return c.call(ctx, state, callback.Fail, reason, output)
}

func (c *Client) call(ctx context.Context, state State, result callback.Result, reason string, output any) (executionID string, err error) {
	body, err := requestBody(result, reason, output)
	if err != nil {
		return "", fmt.Errorf("client: %w: %w", ErrInvalid, err)
	}
	if err := checkSegment("workflow id", state.Workflow); err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	for what, id := range map[string]string{"run id": state.Run, "state id": state.State} {
		if err := checkHeader(what, id); err != nil {
			return "", fmt.Errorf("client: %w", err)
		}
	}
	params := &callback.CreateCallbackWorkflowParams{RunID: callback.RunID(state.Run), StateID: callback.StateID(state.State)}
	answer, err := read[callback.Response](c.callbacks.CreateCallbackWorkflowWithBody(
		ctx, c.projectID, state.Workflow, params, "application/json", bytes.NewReader(body)))(http.StatusOK)
	if err != nil {
		return "", err
	}
	if answer.ExecutionID == "" {
		return "", &Error{StatusCode: http.StatusOK, Message: "the response has no execution_id: is the endpoint right?"}
	}
	return answer.ExecutionID, nil
}

// requestBody writes the body by hand, so that output keeps every byte.
func requestBody(result callback.Result, reason string, output any) ([]byte, error) {
	object, err := marshalObject("output", output)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, `{"result":%q,`, result)
	if reason != "" {
		quoted, err := json.Marshal(reason)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&body, `"error":%s,`, quoted)
	}
	fmt.Fprintf(&body, `"output":%s}`, object)
	return body.Bytes(), nil
}

// marshalObject returns a value as a JSON object. what names it in errors.
func marshalObject(what string, value any) ([]byte, error) {
	var object []byte
	switch v := value.(type) {
	case nil:
		return []byte("{}"), nil
	case json.RawMessage:
		object = v
	case []byte:
		object = v
	default:
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		object = buffer.Bytes()
	}
	object = bytes.TrimSpace(object)
	var malformed *json.SyntaxError
	switch err := json.Unmarshal(object, new(json.RawMessage)); {
	case len(object) == 0:
		return nil, fmt.Errorf("%s: is empty; send a JSON object, such as {}", what)
	case errors.As(err, &malformed):
		return nil, fmt.Errorf("%s: is not well-formed JSON: %w (byte %d)", what, err, malformed.Offset)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case object[0] != '{':
		return nil, fmt.Errorf("%s: must be a JSON object", what)
	default:
		return object, nil
	}
}
