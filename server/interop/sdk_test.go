// Package interop_test runs the vendor's SDKs and independent OpenAPI tools, unmodified, against
// flowcallbackd and its contract.
package interop_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	functiongraph "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/functiongraph/v2"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/functiongraph/v2/model"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

const accessKey, secretKey = "AKID", "a secret key of an SDK"

// request describes one SDK call. callNode passes it to the Node script as JSON.
type request struct {
	Endpoint string          `json:"endpoint"`
	AK       string          `json:"ak"`
	SK       string          `json:"sk"`
	Project  string          `json:"project"`
	Workflow string          `json:"workflow"`
	Run      string          `json:"run"`
	State    string          `json:"state"`
	Result   string          `json:"result"`
	Error    string          `json:"error,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
}

// failure holds the fields of an SDK's error.
type failure struct {
	Type      string `json:"type"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

// sdk is a vendor SDK. call sends a callback and returns the execution id or the SDK's error.
type sdk struct {
	call      func(*testing.T, request) (executionID string, failed *failure)
	errorType string
	// bareFail is the response status of a fail without output. The Go SDK sends null. The
	// Node SDK omits the member, but the published page makes it mandatory.
	bareFail int
}

var sdks = map[string]sdk{
	"Go":   {callGo, "*sdkerr.ServiceResponseError", 200},
	"Node": {callNode, "ClientRequestException", 400},
}

func callGo(t *testing.T, r request) (string, *failure) {
	t.Helper()
	credentials, err := basic.NewCredentialsBuilder().WithAk(r.AK).WithSk(r.SK).WithProjectId(r.Project).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	hc, err := functiongraph.FunctionGraphClientBuilder().WithEndpoints([]string{r.Endpoint}).WithCredential(credentials).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	body := &model.CallbackWorkflowRequestBody{Result: model.GetCallbackWorkflowRequestBodyResultEnum().SUCCESS}
	if r.Result == "fail" {
		body.Result = model.GetCallbackWorkflowRequestBodyResultEnum().FAIL
	}
	if r.Error != "" {
		body.Error = &r.Error
	}
	if r.Output != nil {
		var output any = r.Output
		body.Output = &output
	}
	answer, err := functiongraph.NewFunctionGraphClient(hc).CreateCallbackWorkflow(&model.CreateCallbackWorkflowRequest{
		WorkflowId: r.Workflow, XWorkflowRunId: r.Run, XWorkflowStateId: r.State, Body: body,
	})
	var refused *sdkerr.ServiceResponseError
	switch {
	case errors.As(err, &refused):
		return "", &failure{fmt.Sprintf("%T", refused), refused.StatusCode, refused.ErrorCode, refused.ErrorMessage, refused.RequestId}
	case err != nil:
		t.Fatal(err)
	}
	return *answer.ExecutionId, nil
}

func callNode(t *testing.T, r request) (string, *failure) {
	t.Helper()
	input, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", "node/callback.js")
	command.Stdin = bytes.NewReader(input)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v (`make interop` installs the SDK): %v", command, err)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	var answer struct {
		ExecutionID string   `json:"execution_id"`
		Error       *failure `json:"error"`
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); err != nil {
		t.Fatalf("%v printed %s: %v", command, output, err)
	}
	return answer.ExecutionID, answer.Error
}

// start starts a server that requires AK/SK signatures. It returns the endpoint and a client
// that opens waits.
func start(t *testing.T, flags ...string) (endpoint string, waiting *client.Client) {
	t.Helper()
	folder := t.TempDir()
	principals := filepath.Join(folder, "auth.yaml")
	text := fmt.Sprintf("principals:\n  - {name: sdk, projects: ['*'], allow: [callback, wait], access_key: %q, secret_key: %q}\n", accessKey, secretKey)
	if err := os.WriteFile(principals, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, append(flags, "--auth", principals, "--engine", "sqlite:"+filepath.Join(folder, "waits.db"))...)
	waiting, err := client.New(s.URL, "project", client.WithAKSK(accessKey, secretKey, ""))
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, waiting
}

func TestSDKs(t *testing.T) {
	for name, sdk := range sdks {
		t.Run(name, func(t *testing.T) {
			endpoint, waiting := start(t)
			// open opens a wait and returns a callback request for it.
			states := 0
			open := func(t *testing.T) (request, waits.Wait) {
				t.Helper()
				states++
				r := request{
					Endpoint: endpoint, AK: accessKey, SK: secretKey, Project: "project",
					Workflow: "workflow", Run: "run", State: fmt.Sprint("state-", states), Result: "success", Output: json.RawMessage(`{}`),
				}
				wait, err := waiting.Waits.Open(t.Context(), client.State{Workflow: r.Workflow, Run: r.Run, State: r.State}, client.OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return r, wait
			}
			wantOutcome := func(t *testing.T, wait waits.Wait, result, reason, output string) {
				t.Helper()
				got, err := waiting.Waits.Await(t.Context(), wait.WaitID)
				if err != nil || got.Outcome == nil || string(got.Outcome.Result) != result || got.Outcome.Error != reason || string(got.Outcome.Output) != output {
					t.Errorf("Await: outcome %+v, %v; want %s %q %s", got.Outcome, err, result, reason, output)
				}
			}
			accept := func(t *testing.T, r request, wait waits.Wait) {
				t.Helper()
				if id, failed := sdk.call(t, r); failed != nil || id != wait.ExecutionID {
					t.Errorf("the SDK returned execution id %q, error %+v; want %q", id, failed, wait.ExecutionID)
				}
			}
			refuse := func(t *testing.T, r request, status int, code string) {
				t.Helper()
				_, failed := sdk.call(t, r)
				if failed == nil || failed.Type != sdk.errorType || failed.Status != status || failed.Code != code || failed.Message == "" || failed.RequestID == "" {
					t.Errorf("the SDK returned error %+v; want a %s with %d %s, a message and a request id", failed, sdk.errorType, status, code)
				}
			}

			t.Run("repeated success is accepted, another outcome is a conflict", func(t *testing.T) {
				r, wait := open(t)
				r.Output = json.RawMessage(`{"message":"success","result":200}`)
				accept(t, r, wait)
				accept(t, r, wait)
				r.Output = json.RawMessage(`{"message":"success","result":201}`)
				refuse(t, r, 400, "FLOWCALLBACK.CONFLICT")
				wantOutcome(t, wait, "success", "", `{"message":"success","result":200}`)
			})
			t.Run("fail with output", func(t *testing.T) {
				r, wait := open(t)
				r.Result, r.Error, r.Output = "fail", "payment declined", json.RawMessage(`{"attempts":3}`)
				accept(t, r, wait)
				wantOutcome(t, wait, "fail", "payment declined", `{"attempts":3}`)
			})
			t.Run("fail without output", func(t *testing.T) {
				r, wait := open(t)
				r.Result, r.Output = "fail", nil
				if sdk.bareFail != 200 {
					refuse(t, r, sdk.bareFail, "FGS.3002")
					if _, failed := sdk.call(t, r); !strings.Contains(failed.Message, "output: is missing; send {}") {
						t.Errorf("the message does not say what to do: %s", failed.Message)
					}
					return
				}
				accept(t, r, wait)
				wantOutcome(t, wait, "fail", "", `{}`)
			})
			t.Run("large numbers keep all digits", func(t *testing.T) {
				r, wait := open(t)
				r.Output = json.RawMessage(`{"big":9007199254740991,"small":0.30000000000000004}`)
				if name == "Go" { // JavaScript cannot represent these numbers
					r.Output = json.RawMessage(`{"big":123456789012345678901234567890,"small":0.1000000000000000055511151231257827}`)
				}
				accept(t, r, wait)
				wantOutcome(t, wait, "success", "", string(r.Output))
			})
			t.Run("ids of the characters that are safe with all SDKs", func(t *testing.T) {
				r, _ := open(t)
				r.Workflow = "Az09-._~:+*@,;"
				wait, err := waiting.Waits.Open(t.Context(), client.State{Workflow: r.Workflow, Run: r.Run, State: r.State}, client.OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				accept(t, r, wait)
				r.Project = "Az09-._~*"
				c, err := client.New(endpoint, r.Project, client.WithAKSK(accessKey, secretKey, ""))
				if err != nil {
					t.Fatal(err)
				}
				if wait, err = c.Waits.Open(t.Context(), client.State{Workflow: r.Workflow, Run: r.Run, State: r.State}, client.OpenOptions{}); err != nil {
					t.Fatal(err)
				}
				accept(t, r, wait)
			})
			t.Run("id with a space or an apostrophe", func(t *testing.T) {
				for _, id := range []string{"a b", "it's"} {
					r, _ := open(t)
					r.Workflow = id
					if name == "Node" { // the Node SDK signs a different path than it sends
						refuse(t, r, 401, "APIGW.0301")
						continue
					}
					wait, err := waiting.Waits.Open(t.Context(), client.State{Workflow: r.Workflow, Run: r.Run, State: r.State}, client.OpenOptions{})
					if err != nil {
						t.Fatal(err)
					}
					accept(t, r, wait)
				}
			})
			t.Run("unknown state", func(t *testing.T) {
				r, _ := open(t)
				r.State = "unknown"
				refuse(t, r, 404, "FGS.5002")
			})
			t.Run("wrong secret", func(t *testing.T) {
				r, _ := open(t)
				r.SK = "another secret"
				refuse(t, r, 401, "APIGW.0301")
			})
		})
	}
}
