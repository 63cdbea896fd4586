package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
)

// plan is a node of EXPLAIN's answer.
type plan struct {
	Node    string  `json:"Node Type"`
	Rows    float64 `json:"Actual Rows"`
	Removed float64 `json:"Rows Removed by Filter"`
	Loops   float64 `json:"Actual Loops"`
	Plans   []plan
}

// read returns how many rows of tables and indexes a plan reads.
func (p plan) read() (rows float64) {
	if strings.HasSuffix(p.Node, "Scan") && !strings.HasPrefix(p.Node, "Function") && !strings.HasPrefix(p.Node, "CTE") && !strings.HasPrefix(p.Node, "Subquery") {
		rows = (p.Rows + p.Removed) * p.Loops
	}
	for _, below := range p.Plans {
		rows += below.read()
	}
	return rows
}

// Reads touch a bounded number of rows, however many there are, with the plans for any arguments too.
func TestPlans(t *testing.T) {
	url := database(t)
	e := newCopies(t, url, postgres.Options{}).start(t)
	const n = 20_000
	last := ""
	forAll(n, func(i int) {
		request := waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(i)), TimeoutSeconds: 86400, Tags: []string{"t"}}
		wait, _, err := e.OpenWait(t.Context(), "p", request, "")
		if err == nil && i%2 == 0 {
			_, err = e.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: request.StateID}, Request: enginetest.Success(`{}`)})
		}
		if err != nil {
			t.Error(err)
		}
		if i == 0 {
			last = wait.WaitID
		}
	})
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	const limit = 100
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		if _, err := c.Exec(t.Context(), "SET plan_cache_mode = "+mode); err != nil {
			t.Fatal(err)
		}
		for i, s := range postgres.Statements(last, "p", limit) {
			name := fmt.Sprint("s", i, mode)
			var text string
			_, err := c.Exec(t.Context(), "PREPARE "+name+" AS "+s.SQL, pgx.QueryExecModeSimpleProtocol)
			if err == nil {
				err = c.QueryRow(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE "+name+"("+strings.Join(s.Arguments, ", ")+")", pgx.QueryExecModeSimpleProtocol).Scan(&text)
			}
			var explained []struct{ Plan plan }
			if err == nil {
				err = json.Unmarshal([]byte(text), &explained)
			}
			if err != nil {
				t.Errorf("%s: %v", s.Name, err)
				continue
			}
			most := 10.0
			switch {
			case strings.HasPrefix(s.Name, "flowcallback."):
				most = postgres.Window + 10
			case s.Name == "feed" || s.Name == "rows" || s.Name == "passing" || s.Name == "sorted": // of 100
				most = 3*limit + 10
			case s.Name == "metrics":
				most = 4 * 1010
			case s.Name == "count":
				most = 5 * 1010
			case s.Name == "sweep" || s.Name == "sweep of a project" || s.Name == "news":
				most = 1010
			}
			if rows := explained[0].Plan.read(); rows > most {
				t.Errorf("%s (%s) reads %.0f rows, want at most %.0f:\n%s", s.Name, mode, rows, most, text)
			}
		}
	}
}
