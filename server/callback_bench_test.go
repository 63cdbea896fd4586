package server_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/callbackserver"
	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine"
)

// idle is an engine that does nothing. Benchmarks use it to exclude the cost of an engine.
type idle struct{}

func (idle) Callback(_ context.Context, c engine.Callback) (string, error) {
	return string(c.RunID), nil
}

func (idle) Ready(context.Context) error { return nil }

// bodies are the measured request bodies: a typical one, and one with a large output.
var bodies = map[string]string{
	"small":  `{"result":"success","output":{"message":"success","result":200}}`,
	"200KiB": `{"result":"success","output":{"list":[` + strings.Repeat(`{"id":4711,"name":"a name","ok":true},`, 5400) + `null]}}`,
}

func benchmark(b *testing.B, handler http.Handler) {
	for _, size := range []string{"small", "200KiB"} {
		body := bodies[size]
		b.Run(size, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			reader := strings.NewReader(body)
			r := httptest.NewRequest(http.MethodPost, "/v2/46b6f338fc3445b8846c71dfb1fbd9e8/fgs/workflows/order-approval/callback", nil)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Workflow-Run-Id", "aa7d6479-141d-482f-b9bc-85b5cd14066b")
			r.Header.Set("X-Workflow-State-Id", "0f5758f7-aa43-49ae-8923-c6448d7c1f91")
			for b.Loop() {
				reader.Reset(body)
				request := *r
				request.Body, request.ContentLength = io.NopCloser(reader), int64(len(body))
				w := discard{header: http.Header{}}
				handler.ServeHTTP(&w, &request)
				if w.status != http.StatusOK {
					b.Fatalf("callback: status %d, want 200", w.status)
				}
			}
		})
	}
}

// discard is an http.ResponseWriter that drops the body and costs almost nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// SetReadDeadline is called as on a connection.
func (d *discard) SetReadDeadline(time.Time) error { return nil }

// BenchmarkCallback measures a valid callback through the complete handler with all middleware.
func BenchmarkCallback(b *testing.B) {
	handler, err := server.New(idle{}, server.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, handler)
}

// BenchmarkUnvalidated measures the generated strict handler without validation or middleware.
func BenchmarkUnvalidated(b *testing.B) {
	router := echo.New()
	callbackserver.RegisterHandlers(router, callbackserver.NewStrictHandler(unvalidated{}, nil))
	benchmark(b, router)
}

type unvalidated struct{}

func (unvalidated) CreateCallbackWorkflow(ctx context.Context, r callbackserver.CreateCallbackWorkflowRequestObject) (callbackserver.CreateCallbackWorkflowResponseObject, error) {
	key := engine.Key{ProjectID: r.ProjectID, WorkflowID: r.WorkflowID, RunID: r.Params.RunID, StateID: r.Params.StateID}
	executionID, err := idle{}.Callback(ctx, engine.Callback{Key: key, Request: *r.Body})
	return callbackserver.CreateCallbackWorkflow200JSONResponse{Body: callback.Response{ExecutionID: executionID}}, err
}

// BenchmarkPlain measures a handler written by hand with net/http and encoding/json. It checks
// the contract, sets a request id, limits size and time, and writes one log line. It does not
// refuse duplicate members, because encoding/json does not report them.
func BenchmarkPlain(b *testing.B) {
	logger := slog.New(slog.DiscardHandler)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/{project_id}/fgs/workflows/{workflow_id}/callback", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		requestID := rand.Text()
		header := w.Header()
		header.Set("X-Request-Id", requestID)
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
		defer cancel()
		status, answer := plain(ctx, w, r)
		header.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
		logger.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("request_id", requestID), slog.String("route", r.Pattern),
			slog.Int("status", status), slog.Duration("duration", time.Since(start)))
	})
	benchmark(b, mux)
}

func plain(ctx context.Context, w http.ResponseWriter, r *http.Request) (status int, answer any) {
	refuse := func(what string) (int, any) {
		return http.StatusBadRequest, callback.CallbackError{ErrorCode: callback.CodeInvalid, ErrorMsg: what, RequestID: w.Header().Get("X-Request-Id")}
	}
	key := engine.Key{
		ProjectID: r.PathValue("project_id"), WorkflowID: r.PathValue("workflow_id"),
		RunID: callback.RunID(r.Header.Get("X-Workflow-Run-Id")), StateID: callback.StateID(r.Header.Get("X-Workflow-State-Id")),
	}
	for _, id := range []string{key.ProjectID, key.WorkflowID, string(key.RunID), string(key.StateID)} {
		if id == "" || !utf8.ValidString(id) || utf8.RuneCountInString(id) > 1024 {
			return refuse("ids must not be empty, and must be UTF-8")
		}
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return refuse("Content-Type must be application/json")
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 256<<10))
	if err != nil {
		return refuse(err.Error())
	}
	var body struct {
		Result *callback.Result `json:"result"`
		Output json.RawMessage  `json:"output"`
		Error  string           `json:"error"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return refuse(err.Error())
	}
	if body.Result == nil || *body.Result != callback.Success && *body.Result != callback.Fail {
		return refuse("result must be success or fail")
	}
	if utf8.RuneCountInString(body.Error) > 64 {
		return refuse("error must have at most 64 characters")
	}
	var output map[string]json.RawMessage
	if err := json.Unmarshal(body.Output, &output); err != nil {
		return refuse("output must be an object")
	}
	if output == nil && *body.Result == callback.Success {
		return refuse("output must not be null with success")
	}
	executionID, err := idle{}.Callback(ctx, engine.Callback{Key: key, Request: callback.Request{Result: *body.Result, Error: body.Error, Output: body.Output}})
	if err != nil {
		return http.StatusInternalServerError, callback.CallbackError{ErrorCode: callback.CodeInternal, ErrorMsg: "Internal server error."}
	}
	return http.StatusOK, callback.Response{ExecutionID: executionID}
}

// BenchmarkJSONValid measures json.Valid, a lower bound for the cost of reading a body.
func BenchmarkJSONValid(b *testing.B) {
	for _, size := range []string{"small", "200KiB"} {
		body := []byte(bodies[size])
		b.Run(size, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if !json.Valid(body) {
					b.Fatal("json.Valid = false, want true")
				}
			}
		})
	}
}
