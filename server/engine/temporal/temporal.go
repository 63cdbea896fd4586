// Package temporal resumes flows that live in Temporal: the engine for many machines. It
// keeps no state of its own, so any number of servers work on one Temporal.
//
// A state is an activity that waits to be completed from outside: the project is the
// namespace (or all projects are in one), the workflow and the run are Temporal's, and the
// state's id is the activity's. What a callback means, once the activity no longer waits,
// is read from Temporal's history.
//
// The package knows no HTTP and keeps no waits; Temporal does. Package flow is for the
// workflows that wait.
package temporal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

var _ engine.Engine = (*Engine)(nil)

// Options are the choices of Open; the zero value is the default of each.
type Options struct {
	// Timeout bounds how long one call of Temporal is waited for, retries included; past
	// it the callback is refused with engine.ErrUnavailable. Default: 5 seconds.
	Timeout time.Duration

	// Identity is what Temporal's history names as who completed an activity, with the
	// caller's name behind it where callers prove who they are. Default: "flowcallbackd".
	Identity string

	// Logger hears what Temporal's client has to say. Default: slog.Default().
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Identity == "" {
		o.Identity = "flowcallbackd"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Engine is a connection to one Temporal. It implements engine.Engine, and not engine.Waits.
type Engine struct {
	options   Options
	client    client.Client
	service   workflowservice.WorkflowServiceClient
	namespace string // of all projects; empty: the project is the namespace
	limits    limits
}

// Open prepares a connection to the Temporal at location: temporal://HOST:PORT, where the
// project is the namespace, or temporal://HOST:PORT/NAMESPACE. TLS, API key and headers come
// from Temporal's own environment variables and configuration file. (See
// go.temporal.io/sdk/contrib/envconfig.)
//
// It does not reach for Temporal: that may be away, now and later, and Ready tells.
func Open(location string, options Options) (*Engine, error) {
	options.setDefaults()
	address, namespace, err := parse(location)
	if err != nil {
		return nil, err
	}
	configuration, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("the configuration of Temporal's clients (variables TEMPORAL_…, and its file): %w", err)
	}
	configuration.HostPort = address
	configuration.Identity = options.Identity
	configuration.Logger = log.NewStructuredLogger(options.Logger)
	if namespace != "" {
		configuration.Namespace = namespace
	}
	connection, err := client.NewLazyClient(configuration)
	if err != nil {
		return nil, err
	}
	return &Engine{options: options, client: connection, service: connection.WorkflowService(), namespace: namespace}, nil
}

// parse takes a location apart.
func parse(location string) (address, namespace string, err error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", "", err
	}
	namespace = strings.TrimPrefix(u.Path, "/")
	if u.Scheme != "temporal" || u.Hostname() == "" || u.Port() == "" || u.User != nil || u.RawQuery != "" || strings.Contains(namespace, "/") {
		return "", "", errors.New("want temporal://HOST:PORT, where the project is the namespace, or temporal://HOST:PORT/NAMESPACE")
	}
	return u.Host, namespace, nil
}

// Close closes the connection.
func (e *Engine) Close() error {
	e.client.Close()
	return nil
}

// Ready reports whether Temporal answers.
func (e *Engine) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
	defer cancel()
	if _, err := e.client.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("%w: Temporal: %w", engine.ErrUnavailable, err)
	}
	return nil
}

// Callback implements engine.Engine. It returns the run id.
func (e *Engine) Callback(ctx context.Context, key engine.Key, request callback.Request) (executionID string, err error) {
	// Temporal's stores read a run id as a UUID, in whatever letters.
	if id, err := uuid.Parse(key.RunID); err != nil || id.String() != key.RunID {
		return "", fmt.Errorf("run id: %w", engine.ErrNotFound)
	}
	c := e.completion(key, engine.OutcomeOf(request), engine.CallerOf(ctx))
	if !isPrintable(c.namespace) { // the client sends it in a header, too
		return "", fmt.Errorf("namespace: %w", engine.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(withResource(ctx, c.workflowID), e.options.Timeout)
	defer cancel()
	if err := e.settle(ctx, c); err != nil {
		return "", refusal(err)
	}
	return key.RunID, nil
}

func (e *Engine) namespaceOf(key engine.Key) string {
	if e.namespace != "" {
		return e.namespace
	}
	return key.ProjectID
}

// completion is how a callback completes an activity, or fails it.
type completion struct {
	namespace, workflowID, runID, activityID string

	identity string
	outcome  waits.Outcome
	result   *commonpb.Payloads // of a success
	failure  *failurepb.Failure // of a fail
}

func (e *Engine) completion(key engine.Key, outcome waits.Outcome, caller string) completion {
	c := completion{identity: e.options.Identity, namespace: e.namespaceOf(key), workflowID: key.WorkflowID, runID: key.RunID, activityID: key.StateID, outcome: outcome}
	if caller != "" {
		c.identity += " for " + caller
	}
	if outcome.Result == callback.Success {
		c.result = payloads(outcome.Output)
		return c
	}
	c.failure = &failurepb.Failure{
		Source:  e.options.Identity,
		Message: outcome.Error,
		FailureInfo: &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{
			Type: failureType, NonRetryable: true, Details: payloads(outcome.Output),
		}},
	}
	return c
}

// size is what Temporal measures against its limit.
func (c completion) size() int {
	if c.failure != nil {
		return proto.Size(c.failure)
	}
	return proto.Size(c.result)
}

// settle completes the activity. Where it does not wait, Temporal's history says why.
func (e *Engine) settle(ctx context.Context, c completion) error {
	sure, err := e.limits.check(ctx, e, c.namespace, c.size())
	if err != nil {
		return err
	}
	err = e.complete(ctx, c)
	switch {
	case isMissing(err):
		return e.decide(ctx, c)
	case err == nil && !sure:
		return e.confirm(ctx, c)
	default:
		return err
	}
}

// complete completes or fails the activity from outside.
func (e *Engine) complete(ctx context.Context, c completion) error {
	if c.failure != nil {
		_, err := e.service.RespondActivityTaskFailedById(ctx, &workflowservice.RespondActivityTaskFailedByIdRequest{
			Namespace: c.namespace, WorkflowId: c.workflowID, RunId: c.runID, ActivityId: c.activityID,
			Identity: c.identity, Failure: c.failure,
		})
		return err
	}
	_, err := e.service.RespondActivityTaskCompletedById(ctx, &workflowservice.RespondActivityTaskCompletedByIdRequest{
		Namespace: c.namespace, WorkflowId: c.workflowID, RunId: c.runID, ActivityId: c.activityID,
		Identity: c.identity, Result: c.result,
	})
	return err
}

// failureType is flow.FailureType, which workers in other languages rely on too. This
// package does not import flow: a server links no worker.
const failureType = "FlowCallbackFailed"

// What a payload says of its encoding, so that the default converters of all of Temporal's
// SDKs read it.
const (
	encodingKey  = "encoding"
	encodingJSON = "json/plain"
)

// payloads is a JSON value as Temporal carries it, with every digit.
func payloads(value json.RawMessage) *commonpb.Payloads {
	return &commonpb.Payloads{Payloads: []*commonpb.Payload{{
		Metadata: map[string][]byte{encodingKey: []byte(encodingJSON)},
		Data:     value,
	}}}
}

// refusal turns what Temporal answered into what engines return. What may pass by itself
// (Temporal away, starting, moving a namespace to another cluster; a connection that ends) is
// engine.ErrUnavailable.
func refusal(err error) error {
	if isMissing(err) { // the namespace
		return fmt.Errorf("%w: Temporal: %w", engine.ErrNotFound, err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: Temporal: %w", engine.ErrUnavailable, err)
	}
	var temporal serviceerror.ServiceError
	if !errors.As(err, &temporal) {
		return err
	}
	switch serviceerror.ToStatus(err).Code() {
	case codes.ResourceExhausted:
		return fmt.Errorf("%w: Temporal: %w", engine.ErrOverloaded, err)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Internal, codes.Canceled, codes.FailedPrecondition, codes.Unknown:
		return fmt.Errorf("%w: Temporal: %w", engine.ErrUnavailable, err)
	default: // such as credentials that it does not take: somebody has to do something
		return err
	}
}
