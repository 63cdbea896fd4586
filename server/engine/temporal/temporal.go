// Package temporal settles states that wait in Temporal workflows. It stores nothing, so any
// number of servers can use one Temporal.
//
// A state is an activity that is completed from outside. The project is the namespace, or
// one namespace has all projects. The workflow id and the run id are Temporal's, and the
// state id is the activity id. If the activity no longer waits, the engine reads from
// Temporal's history what the callback means.
//
// The package knows nothing of HTTP. Package flow is for workflows that wait.
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

// Defaults of Options.
const (
	DefaultTimeout  = 5 * time.Second
	DefaultIdentity = "flowcallbackd"
)

// Options configure Open. A zero field has the default that its comment names.
type Options struct {
	// Timeout limits a call of Temporal, including retries. After it the callback is
	// refused with engine.ErrUnavailable. Default: DefaultTimeout.
	Timeout time.Duration

	// Identity is recorded in Temporal's history as the worker that completed an activity,
	// followed by the principal if there is one. Default: DefaultIdentity.
	Identity string

	// Logger receives the log of Temporal's client. Default: slog.Default().
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Identity == "" {
		o.Identity = DefaultIdentity
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Engine is a connection to one Temporal. It implements engine.Engine and engine.Reader.
type Engine struct {
	options   Options
	client    client.Client
	service   workflowservice.WorkflowServiceClient
	namespace string // of all projects; if empty, the project is the namespace
	limits    limits
	pages     pages
}

// Open prepares a connection to the Temporal at location. The location is
// temporal://HOST:PORT, where the project is the namespace, or
// temporal://HOST:PORT/NAMESPACE. TLS, API key, headers and, if the location has none, the
// namespace come from Temporal's environment variables and configuration file
// (go.temporal.io/sdk/contrib/envconfig).
//
// Open does not connect. Temporal may be unreachable then and later; Ready reports it.
func Open(location string, options Options) (*Engine, error) {
	options.setDefaults()
	address, namespace, err := parse(location)
	if err != nil {
		return nil, err
	}
	configuration, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("configuration of Temporal's client (variables TEMPORAL_… and its file): %w", err)
	}
	configuration.HostPort = address
	configuration.Identity = options.Identity
	configuration.Logger = log.NewStructuredLogger(options.Logger)
	if namespace == "" {
		namespace = configuration.Namespace // TEMPORAL_NAMESPACE, or that of the file
	}
	configuration.Namespace = namespace
	connection, err := client.NewLazyClient(configuration)
	if err != nil {
		return nil, err
	}
	return &Engine{options: options, client: connection, service: connection.WorkflowService(), namespace: namespace}, nil
}

// parse splits a location.
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

// Namespace returns the namespace of all projects, or "" if each project is a namespace.
func (e *Engine) Namespace() string { return e.namespace }

// Name implements engine.Namer.
func (e *Engine) Name() string {
	if e.namespace == "" {
		return "Temporal, and the project is the namespace"
	}
	return "Temporal, namespace " + e.namespace
}

// Ready implements engine.Engine: the engine is ready if Temporal answers and the namespace
// of all projects exists.
func (e *Engine) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
	defer cancel()
	if _, err := e.client.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("%w: Temporal: %w", engine.ErrUnavailable, err)
	}
	if e.namespace == "" {
		return nil
	}
	if _, err := e.service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: e.namespace}); err != nil {
		return fmt.Errorf("%w: namespace %s: %w", engine.ErrUnavailable, e.namespace, err)
	}
	return nil
}

// Callback implements engine.Engine. It returns the run id.
func (e *Engine) Callback(ctx context.Context, sent engine.Callback) (executionID string, err error) {
	runID := string(sent.RunID)
	// Temporal's stores accept any spelling of a UUID; an engine compares byte for byte.
	if id, err := uuid.Parse(runID); err != nil || id.String() != runID {
		return "", fmt.Errorf("run id: %w", engine.ErrNotFound)
	}
	c := e.completion(sent)
	if !isPrintable(c.namespace) { // the client sends it in a header too
		return "", fmt.Errorf("namespace: %w", engine.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(withResource(ctx, c.workflowID), e.options.Timeout)
	defer cancel()
	if err := e.settle(ctx, c); err != nil {
		return "", refusal(err)
	}
	return runID, nil
}

// namespaceOf returns the namespace of a project.
func (e *Engine) namespaceOf(projectID string) string {
	if e.namespace != "" {
		return e.namespace
	}
	return projectID
}

// completion is the request that completes or fails an activity.
type completion struct {
	namespace, workflowID, runID, activityID string

	identity string
	outcome  waits.Outcome
	result   *commonpb.Payloads // of a success
	failure  *failurepb.Failure // of a fail
}

func (e *Engine) completion(sent engine.Callback) completion {
	outcome := engine.OutcomeOf(sent.Request)
	c := completion{
		namespace: e.namespaceOf(sent.ProjectID), workflowID: sent.WorkflowID, runID: string(sent.RunID), activityID: string(sent.StateID),
		identity: e.options.Identity, outcome: outcome,
	}
	if sent.Principal != "" {
		c.identity += " for " + sent.Principal
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

// size returns the size that Temporal compares with its limit.
func (c completion) size() int {
	if c.failure != nil {
		return proto.Size(c.failure)
	}
	return proto.Size(c.result)
}

// settle completes the activity. If it does not wait, Temporal's history says why.
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

// failureType equals flow.FailureType; workers in other languages use it too. This package
// does not import flow, because a server must not link a worker.
const failureType = "FlowCallbackFailed"

// The encoding of payloads, which the default converters of all Temporal SDKs read.
const (
	encodingKey  = "encoding"
	encodingJSON = "json/plain"
)

// payloads returns a JSON value as Temporal's payloads, byte for byte.
func payloads(value json.RawMessage) *commonpb.Payloads {
	return &commonpb.Payloads{Payloads: []*commonpb.Payload{{
		Metadata: map[string][]byte{encodingKey: []byte(encodingJSON)},
		Data:     value,
	}}}
}

// refusal returns the engine's error for an error of Temporal. Temporary errors (Temporal is
// unreachable, starts, or moves a namespace to another cluster; a connection ends) are
// engine.ErrUnavailable.
func refusal(err error) error {
	if isMissing(err) { // the namespace does not exist
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
	default: // for example wrong credentials, which an operator must correct
		return err
	}
}
