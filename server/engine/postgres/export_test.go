package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/waits"
)

// Statement is a statement that readers run, with arguments as for project 1.
type Statement struct {
	Name, SQL string
	Arguments []string // as literals of SQL
}

// Statements returns the statements that readers run, for a page of the given limit.
func Statements(waitID, project string, limit int) (all []Statement) {
	text := func(s string) string { return fmt.Sprintf("convert_to('%s', 'UTF8')", s) }
	ids := []string{}
	for i := range limit {
		ids = append(ids, fmt.Sprint(101+i))
	}
	rows := "ARRAY[" + strings.Join(ids, ", ") + "]::bigint[]"
	all = []Statement{
		{"get", byID, []string{"0", text(project), text(waitID)}},
		{"rows", byRow, []string{"0", text(project), rows}},
		{"passing", passing, []string{"1", rows, "2::smallint", text("w"), text("w"), text("r"), "NULL", text("t"), "NULL", "NULL"}},
		{"sorted", deadlineOf, []string{"1", rows, "'-infinity'::timestamptz", "0"}},
		{"workflows", workflowsWith, []string{"1", text("w"), "200"}},
		{"retention", projectToForget, []string{"0", "0", "1000"}},
		{"feed", feedAfter, []string{text(project), "0", fmt.Sprint(limit), "524288"}},
		{"sweep", dueWaits, []string{"0", "'-infinity'::timestamptz", fmt.Sprint(sweepStep)}},
		{"sweep of a project", dueWaitsOf, []string{"0", text(project), fmt.Sprint(sweepStep)}},
		{"held", listHeld, []string{text(project), "0", "101"}},
		{"metrics", countMetrics, []string{"0", "1000", "1000"}},
		{"news", news, []string{"1", "0", fmt.Sprint(newsLimit)}},
		{"ends", ends, []string{"ARRAY[" + text(project) + "]"}},
		{"count", countAll, []string{text(project), "1001"}},
	}
	f := filter{state: []byte("1"), run: []byte("r"), tag: []byte("t"), workflow: []byte("w")}
	labels := map[string]string{"sha256(x.state_id) = sha256($4)": text("1"), "sha256(x.run_id) = sha256($4)": text("r"), "x.tag = $4": text("t"), "x.workflow_id = $4": text("w"), "x.status = $4": "2::smallint", "$4::boolean": "true"}
	for _, status := range []int{1, 2} {
		f.status = 1
		if status == 2 {
			f.status = 2
		}
		for _, source := range f.sources(nil) {
			for _, order := range []waits.Order{waits.Newest, waits.Oldest, waits.Deadline} {
				if order == waits.Deadline && source.deadline == "" {
					continue
				}
				from := "0"
				if order == waits.Newest {
					from = "9223372036854775807"
				}
				all = append(all, Statement{fmt.Sprint(source.table, " ", source.where, " ", order), source.statement(order), []string{"1", from, fmt.Sprint(window), labels[source.where], "'-infinity'::timestamptz"}})
			}
		}
	}
	return all
}

// Window is the number of places that a search reads at once.
const Window = window

// Doubt is the error of a commit that a standby may not have.
var Doubt = errDoubt

// Listens reports whether notifications arrive at the copy.
func (e *Engine) Listens() bool { return e.poller.listens.Load() }

// WaitForNotifications blocks until notifications arrive.
func (e *Engine) WaitForNotifications(ctx context.Context) error {
	for !e.Listens() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Connect returns a connection that writes.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	l, err := parse(url)
	if err != nil {
		return nil, err
	}
	return l.connect(ctx, func(string) {})
}

// Acquire runs do with a connection of those for callers.
func (e *Engine) Acquire(ctx context.Context, do func(context.Context, *pgxpool.Conn) error) error {
	return e.acquire(ctx, e.readers, do)
}
