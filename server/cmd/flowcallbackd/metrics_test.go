package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// scrape returns the status and body of GET /metrics.
func scrape(t *testing.T, s *servertest.Server, token string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// The metrics count requests. The metrics of stored waits keep their values after a restart.
func TestMetrics(t *testing.T) {
	engine := file(t)
	s := servertest.Start(t, "--engine", engine)
	c := newClient(t, s)
	var ids []string
	for _, state := range []string{"success", "fail", "cancelled", "waiting", "another"} {
		wait, err := c.Waits.Open(t.Context(), client.State{Workflow: "w", Run: "r", State: state}, client.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, wait.WaitID)
	}
	state := func(id string) client.State { return client.State{Workflow: "w", Run: "r", State: id} }
	_, success := c.Succeed(t.Context(), state("success"), nil)
	_, fail := c.Fail(t.Context(), state("fail"), "why", nil)
	_, conflict := c.Fail(t.Context(), state("success"), "why", nil)
	_, unknown := c.Succeed(t.Context(), state("unknown"), nil)
	if err := c.Waits.Cancel(t.Context(), ids[2], ""); err != nil || success != nil || fail != nil || conflict == nil || unknown == nil {
		t.Fatal(err, success, fail, conflict, unknown)
	}
	wantLines := func(s *servertest.Server, lines ...string) {
		t.Helper()
		status, text := scrape(t, s, "")
		if status != http.StatusOK {
			t.Fatalf("GET /metrics: status %d, want 200: %s", status, text)
		}
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("GET /metrics does not contain %q", line)
			}
		}
		if t.Failed() {
			t.Log(text)
		}
	}
	stored := []string{
		`flowcallback_waits{status="waiting"} 2`,
		`flowcallback_waits{status="success"} 1`,
		`flowcallback_waits{status="fail"} 1`,
		`flowcallback_waits{status="cancelled"} 1`,
		`flowcallback_waits{status="expired"} 0`,
	}
	wantLines(s, append(stored,
		`flowcallback_callbacks_total{code="200",result="success"} 1`,
		`flowcallback_callbacks_total{code="200",result="fail"} 1`,
		`flowcallback_callbacks_total{code="FLOWCALLBACK.CONFLICT",result="fail"} 1`,
		`flowcallback_callbacks_total{code="FGS.5002",result="success"} 1`,
		`flowcallback_request_duration_seconds_count{operation="createCallbackWorkflow"} 4`,
		`flowcallback_request_duration_seconds_count{operation="openWait"} 5`,
		`flowcallback_queue_length 0`,
		`flowcallback_polls_open 0`,
	)...)
	s.Stop(t)
	wantLines(servertest.Start(t, "--engine", engine), stored...)
}

// With --auth, only principals with the permission "wait" in all projects can read metrics.
func TestMetricsAreNotForEveryone(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	all, allHash := newToken(t)
	one, oneHash := newToken(t)
	text := "principals:\n" +
		"  - {name: all, projects: [\"*\"], allow: [wait], token_sha256: " + allHash + "}\n" +
		"  - {name: one, projects: [project], allow: [wait, callback], token_sha256: " + oneHash + "}\n"
	write(t, auth, text)
	s := servertest.Start(t, "--engine", file(t), "--auth", auth)
	for token, want := range map[string]int{"": 401, one: 403, all: 200} {
		if status, _ := scrape(t, s, token); status != want {
			t.Errorf("GET /metrics: status %d, want %d", status, want)
		}
	}
}

// The dashboard and the alerts use only metrics that exist.
func TestOperationsNameMetricsThatExist(t *testing.T) {
	s := servertest.Start(t, "--engine", file(t))
	c := newClient(t, s)
	_, _ = c.Succeed(t.Context(), client.State{Workflow: "w", Run: "r", State: "s"}, nil) // some metrics appear only after the first callback
	_, text := scrape(t, s, "")
	there := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^(?:# TYPE )?([a-z_]+)`).FindAllStringSubmatch(text, -1) {
		there[name[1]] = true
	}
	for _, file := range []string{"alerts.yaml", "dashboard.json"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "operations", file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`(flowcallback|go|process)_[a-z_]+`).FindAllString(string(content), -1)
		if len(names) < 3 {
			t.Errorf("metrics in %s = %v, want at least 3", file, names)
		}
		for _, name := range names {
			if !there[name] && name != "flowcallback_certificate_expiry_timestamp_seconds" { // that metric exists only with --tls-cert
				t.Errorf("%s uses metric %s, which does not exist", file, name)
			}
		}
	}
}

// If OTEL_EXPORTER_OTLP_ENDPOINT is set, the server sends a trace of each request to it, and
// the log contains the trace id.
func TestTraces(t *testing.T) {
	received := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- r.URL.Path + " " + string(body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "orders")
	s := servertest.Start(t, "--engine", file(t))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v2/p/fgs/workflows/w/callback", strings.NewReader(goodBody))
	if err != nil {
		t.Fatal(err)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	r.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	s.Stop(t) // sends the buffered traces
	if got := <-received; !strings.HasPrefix(got, "/v1/traces ") || !strings.Contains(got, "orders") {
		t.Errorf("collector received %.200q, want /v1/traces with service \"orders\"", got)
	}
	await(t, "the log has the trace", func() bool { return strings.Contains(s.Log(), `"trace_id":"`+trace+`"`) }) // it is written in groups
}
