package temporal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

var _ engine.Reader = (*Engine)(nil)

// activityType equals flow.Activity, the type of activities that wait for callbacks; workers in other
// languages use it too. Temporal does not tell what a worker does from what waits, so the lists have
// activities of this type only.
const activityType = "FlowCallback"

const (
	// runsOfPage is the number of runs that a page looks into, and runsAtOnce how many at the same
	// time.
	runsOfPage = 20
	runsAtOnce = 5
	// reuseFor is how long a page is remembered, so that many who look at it are one to Temporal.
	reuseFor = time.Second
	// lookAgain is the pause of a long-poll between two looks.
	lookAgain = time.Second
)

// noDeadline is shown as the deadline of an activity that has none.
var noDeadline = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// GetWait implements engine.Reader. Its ids are those of ListWaits. A long-poll looks every second.
func (e *Engine) GetWait(ctx context.Context, projectID, waitID string, wait time.Duration) (waits.Wait, error) {
	id, err := parseWaitID(waitID)
	if err != nil {
		return waits.Wait{}, err
	}
	if _, err := uuid.Parse(id.run); err != nil || !isPrintable(e.namespaceOf(projectID)) {
		return waits.Wait{}, fmt.Errorf("wait %s: %w", waitID, engine.ErrNotFound)
	}
	for end := time.Now().Add(wait); ; {
		got, err := e.look(withResource(ctx, id.workflow), projectID, id)
		left := time.Until(end)
		if err != nil || got.Status != waits.Waiting || left <= 0 {
			return got, err
		}
		select {
		case <-time.After(min(lookAgain, left)):
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
}

// look reads a wait as it is now: among what waits, or else from the history.
func (e *Engine) look(ctx context.Context, projectID string, id ids) (waits.Wait, error) {
	ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
	defer cancel()
	waiting, err := e.waitingOf(ctx, projectID, id.workflow, id.run)
	if err != nil {
		return waits.Wait{}, readRefusal(err)
	}
	for _, w := range waiting {
		if string(w.StateID) == id.activity {
			return w, nil
		}
	}
	v, err := e.readVerdict(ctx, completion{namespace: e.namespaceOf(projectID), workflowID: id.workflow, runID: id.run, activityID: id.activity})
	if err != nil {
		return waits.Wait{}, readRefusal(err)
	}
	if !v.scheduled || v.event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() != activityType {
		return waits.Wait{}, fmt.Errorf("wait of run %s: %w", id.run, engine.ErrNotFound)
	}
	return v.wait(projectID, id), nil
}

// readRefusal returns the engine's error for an error of Temporal in a read.
func readRefusal(err error) error {
	if errors.Is(err, engine.ErrNotFound) {
		return err
	}
	return refusal(err)
}

// wait returns the wait that a history tells of.
func (v verdict) wait(projectID string, id ids) waits.Wait {
	scheduled := v.event.GetActivityTaskScheduledEventAttributes()
	w := newWait(projectID, id, v.event.GetEventTime().AsTime(), time.Time{})
	if timeout := scheduled.GetScheduleToCloseTimeout().AsDuration(); timeout > 0 {
		w.ExpiresAt = w.CreatedAt.Add(timeout)
	}
	w.Status = v.stored(waits.Outcome{}).Status
	if w.Status == waits.Waiting { // it has just begun, or ends at this moment
		return w
	}
	at := v.closedAt
	if v.end != nil {
		at = v.end.GetEventTime().AsTime()
		if outcome, ok := outcomeOf(v.end); ok {
			w.Outcome = &outcome
		}
		_, w.SettledBy, _ = strings.Cut(identityOf(v.end), " for ")
	}
	w.SettledAt = &at
	return w
}

// identityOf returns who ended an activity.
func identityOf(end *historypb.HistoryEvent) string {
	if completed := end.GetActivityTaskCompletedEventAttributes(); completed != nil {
		return completed.GetIdentity()
	}
	return end.GetActivityTaskFailedEventAttributes().GetIdentity()
}

// newWait returns a wait. Its deadline is noDeadline if there is none.
func newWait(projectID string, id ids, createdAt, expiresAt time.Time) waits.Wait {
	if expiresAt.IsZero() || expiresAt.Unix() <= 0 {
		expiresAt = noDeadline
	}
	return waits.Wait{
		WaitID: id.waitID(), ProjectID: projectID, WorkflowID: id.workflow, RunID: callback.RunID(id.run), StateID: callback.StateID(id.activity), ExecutionID: id.run,
		Status: waits.Waiting, CreatedAt: createdAt.UTC(), ExpiresAt: expiresAt.UTC(),
	}
}

// waitingOf returns the states of a run that wait, in the order of their ids.
func (e *Engine) waitingOf(ctx context.Context, projectID, workflowID, runID string) ([]waits.Wait, error) {
	answer, err := e.service.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: e.namespaceOf(projectID), Execution: &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: runID},
	})
	if err != nil {
		return nil, err
	}
	var all []waits.Wait
	for _, a := range answer.GetPendingActivities() {
		if a.GetActivityType().GetName() != activityType {
			continue
		}
		all = append(all, newWait(projectID, ids{workflowID, runID, a.GetActivityId()}, scheduledAt(a), a.GetExpirationTime().AsTime()))
	}
	slices.SortFunc(all, func(a, b waits.Wait) int { return strings.Compare(string(a.StateID), string(b.StateID)) })
	return all, nil
}

// scheduledAt returns when an activity was scheduled. Temporal no longer says so of one that a worker has
// started.
func scheduledAt(a *workflowpb.PendingActivityInfo) time.Time {
	if at := a.GetScheduledTime(); at != nil {
		return at.AsTime()
	}
	return a.GetLastStartedTime().AsTime()
}

// ListWaits implements engine.Reader. It lists what waits now, by Temporal's visibility, which is
// eventually consistent: a run that has just begun may be missing. It looks into a few runs
// for each page, so a page may be short or empty and still have a cursor. Other statuses, orders than
// newest, tags, prefixes that Temporal cannot compare, and long-polls are not offered
// (errors.ErrUnsupported).
func (e *Engine) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams, _ time.Duration) (waits.WaitPage, error) {
	if params.Status != nil && *params.Status != waits.Waiting || params.Order != nil && *params.Order != waits.Newest || params.Tag != nil || params.ExpiresBefore != nil {
		return waits.WaitPage{}, fmt.Errorf("filter or order of another engine: %w", errors.ErrUnsupported)
	}
	from, err := parsePlace(params.Cursor)
	if err != nil || !isPrintable(e.namespaceOf(projectID)) {
		return waits.WaitPage{Waits: []waits.Wait{}}, err
	}
	limit := 1
	if params.Limit != nil {
		limit = *params.Limit
	}
	query := queryOf(params, from)
	return e.pages.get(ctx, fmt.Sprint(projectID, "\x00", query, "\x00", limit, "\x00", from, "\x00", params.StateID != nil, stateOf(params)), func(ctx context.Context) (waits.WaitPage, error) {
		ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
		defer cancel()
		page, err := e.listPage(ctx, projectID, query, stateOf(params), from, limit)
		if err != nil {
			return page, readRefusal(err)
		}
		return page, nil
	})
}

// stateOf returns the state that a list is of; empty for any.
func stateOf(params waits.ListWaitsParams) string {
	if params.StateID == nil {
		return ""
	}
	return string(*params.StateID)
}

// A place is where a page begins: after so many waits of a run, or at the newest run if it is zero.
type place struct {
	started int64 // Unix nanoseconds
	run     string
	given   int
}

// parsePlace parses a cursor: the place's members with dots between them.
func parsePlace(cursor *string) (p place, err error) {
	if cursor == nil {
		return p, nil
	}
	parts := strings.Split(*cursor, ".")
	if len(parts) != 3 {
		return p, engine.ErrCursor
	}
	p.run = parts[1]
	if p.started, err = strconv.ParseInt(parts[0], 10, 64); err == nil {
		p.given, err = strconv.Atoi(parts[2])
	}
	if _, notUUID := uuid.Parse(p.run); err != nil || notUUID != nil || p.given < 0 || p.cursor() != *cursor {
		return p, engine.ErrCursor
	}
	return p, nil
}

func (p place) cursor() string {
	return fmt.Sprintf("%d.%s.%d", p.started, p.run, p.given)
}

// queryOf returns the query of Temporal's visibility for a list.
func queryOf(params waits.ListWaitsParams, from place) string {
	conditions := []string{"ExecutionStatus = 'Running'"}
	add := func(format, value string) { conditions = append(conditions, fmt.Sprintf(format, quote(value))) }
	if params.WorkflowID != nil {
		add("WorkflowId = %s", *params.WorkflowID)
	}
	if params.WorkflowPrefix != nil {
		add("WorkflowId STARTS_WITH %s", *params.WorkflowPrefix)
	}
	if params.RunID != nil {
		add("RunId = %s", string(*params.RunID))
	}
	if params.OpenedBefore != nil {
		add("StartTime < %s", params.OpenedBefore.UTC().Format(time.RFC3339Nano))
	}
	if from.started != 0 {
		add("StartTime <= %s", time.Unix(0, from.started).UTC().Format(time.RFC3339Nano))
	}
	return strings.Join(conditions, " AND ")
}

// quote returns a text as a literal of Temporal's queries.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// listPage looks into the next runs.
func (e *Engine) listPage(ctx context.Context, projectID, query, state string, from place, limit int) (waits.WaitPage, error) {
	answer := waits.WaitPage{Waits: []waits.Wait{}}
	// One more tells whether there are further runs.
	found, err := e.service.ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: e.namespaceOf(projectID), PageSize: runsOfPage + 1, Query: query})
	if err != nil {
		return answer, err
	}
	runs := found.GetExecutions()
	isMore := len(runs) > runsOfPage
	if i := slices.IndexFunc(runs, func(r *workflowpb.WorkflowExecutionInfo) bool { return r.GetExecution().GetRunId() == from.run }); i >= 0 {
		runs = runs[i:] // those before it began at the same moment
	} else {
		from.given = 0 // its run has ended
	}
	runs = runs[:min(len(runs), runsOfPage)]
	waiting, err := e.waitingOfAll(ctx, projectID, runs)
	if err != nil {
		return answer, err
	}
	for i, run := range runs {
		at := place{run.GetStartTime().AsTime().UnixNano(), run.GetExecution().GetRunId(), 0}
		for _, w := range waiting[i] {
			at.given++
			if i == 0 && at.run == from.run && at.given <= from.given || state != "" && string(w.StateID) != state {
				continue
			}
			if len(answer.Waits) == limit {
				at.given--
				answer.NextCursor = new(at.cursor())
				return answer, nil
			}
			answer.Waits = append(answer.Waits, w)
		}
		if isMore && i == len(runs)-1 {
			answer.NextCursor = new(at.cursor())
		}
	}
	return answer, nil
}

// waitingOfAll returns what waits of each run. A run that has ended meanwhile has none.
func (e *Engine) waitingOfAll(ctx context.Context, projectID string, runs []*workflowpb.WorkflowExecutionInfo) ([][]waits.Wait, error) {
	all, failures := make([][]waits.Wait, len(runs)), make([]error, len(runs))
	next := make(chan int)
	done := make(chan struct{})
	for range runsAtOnce {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range next {
				x := runs[i].GetExecution()
				all[i], failures[i] = e.waitingOf(withResource(ctx, x.GetWorkflowId()), projectID, x.GetWorkflowId(), x.GetRunId())
				if isMissing(failures[i]) {
					failures[i] = nil
				}
			}
		}()
	}
	for i := range runs {
		next <- i
	}
	close(next)
	for range runsAtOnce {
		<-done
	}
	return all, errors.Join(failures...)
}

// followReset returns the run in which a run goes on that was reset, or "".
func (e *Engine) followReset(ctx context.Context, c completion) (newRun string) {
	run := c.runID
	for range 10 { // resets of resets
		answer, err := e.service.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: c.namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: c.workflowID, RunId: run},
		})
		next := answer.GetWorkflowExtendedInfo().GetResetRunId()
		if err != nil || next == "" {
			return newRun
		}
		run, newRun = next, next
	}
	return newRun
}
