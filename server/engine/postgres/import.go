package postgres

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// No copy of the server may open a wait meanwhile.
	lockTables    = `LOCK TABLE flowcallback.projects, flowcallback.feed, flowcallback.waits IN EXCLUSIVE MODE`
	isEmpty       = `SELECT NOT EXISTS (SELECT FROM flowcallback.projects)`
	importProject = `INSERT INTO flowcallback.projects (name) VALUES ($1) RETURNING id`
	importFeed    = `INSERT INTO flowcallback.feed (project, identity, base, floor) VALUES ($1, flowcallback.identity(), $2, $3)`
	firstOfAll    = `UPDATE flowcallback.feed SET base = $1, floor = $2 WHERE project = 0`
	noEpochs      = `DELETE FROM flowcallback.epochs`
	importEpoch   = `INSERT INTO flowcallback.epochs (project, first, id) VALUES (0, $1, $2)`
	afterWaits    = `SELECT setval(pg_get_serial_sequence('flowcallback.waits', 'id'), greatest(1, $1::bigint))`
	afterLinks    = `SELECT setval(pg_get_serial_sequence('flowcallback.links', 'id'), greatest(1, $1::bigint))`
	importHeld    = `
WITH row AS (INSERT INTO flowcallback.waits (key, workflow_id, run_id, state_id, execution_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id)
INSERT INTO flowcallback.held (wait, project, held_at, status, error, output, caller) SELECT id, $7, $6, $8, $9, $10, $11 FROM row`
	analyze      = `ANALYZE flowcallback.waits, flowcallback.pending, flowcallback.outcomes, flowcallback.tags`
	importedHeld = `
SELECT h.wait, p.name, w.workflow_id, w.run_id, w.state_id, w.execution_id, h.status, h.error, h.output, h.caller, h.held_at
FROM flowcallback.held h JOIN flowcallback.waits w ON w.id = h.wait JOIN flowcallback.projects p ON p.id = h.project WHERE h.wait > $1 ORDER BY h.wait LIMIT $2`
	importedLinks = `SELECT id, digest, wait, allow, recipient, created_at, created_by, expires_at FROM flowcallback.links WHERE id > $1 ORDER BY id LIMIT $2`
	// Waits that wait and are not pending as they must be.
	notPending = `
SELECT count(*) FROM flowcallback.waits w
LEFT JOIN flowcallback.pending p ON p.key = w.key AND p.wait = w.id AND p.project = w.project AND p.deadline = w.expires_at AND p.execution_id = w.execution_id AND p.typed = (w.output_schema IS NOT NULL)
WHERE w.project IS NOT NULL AND p.key IS NULL AND NOT EXISTS (SELECT FROM flowcallback.outcomes o WHERE o.project = w.project AND o.wait = w.id AND o.status IN (2, 3, 4, 5))`
	countTags     = `SELECT count(*) FROM flowcallback.tags t JOIN flowcallback.waits w ON w.id = t.wait AND w.project = t.project`
	countImported = `SELECT (SELECT count(*) FROM flowcallback.waits WHERE project IS NOT NULL), (SELECT count(*) FROM flowcallback.held), (SELECT count(*) FROM flowcallback.links)`
)

// ErrCommit means that the copy may be complete or not, or be on one server only.
var ErrCommit = errors.New("the last step failed, so the copy may be there or not: look into the database before you repeat it")

// ErrNotEmpty means that the database has projects already.
var ErrNotEmpty = errors.New("the database already has projects")

// Import copies a store into the empty database at url, in one transaction: after an error other than
// ErrCommit, nothing is there. Before it commits, it reads everything back and compares. Positions and
// epochs are kept, so cursors of the source stay valid. progress is called with the number of waits that
// were copied or compared.
func Import(ctx context.Context, url string, source store.Source, options Options, progress func(what string, done, of int64)) error {
	options.setDefaults()
	l, err := parse(url)
	if err != nil {
		return err
	}
	e := &Engine{options: options, location: l}
	if err := e.prepare(ctx); err != nil {
		return err
	}
	warning := ""
	c, err := l.connect(ctx, func(text string) { warning = text })
	if err != nil {
		return explain(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	head, err := source.Head(ctx)
	if err != nil {
		return err
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return explain(err)
	}
	err = func() error {
		i := importer{tx: tx, source: source, head: head, progress: progress, projects: map[string]int64{}}
		for _, step := range []func(context.Context) error{i.begin, i.waits, i.held, i.links, i.compare, i.compareHeld, i.compareLinks} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, analyze) // so that the first reads have good plans
		return err
	}()
	if err != nil {
		return errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
	}
	warning = ""
	err = tx.Commit(context.WithoutCancel(ctx))
	if err == nil && warning != "" {
		err = errors.New(warning)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCommit, err)
	}
	return nil
}

type importer struct {
	tx       pgx.Tx
	source   store.Source
	head     store.Head
	progress func(what string, done, of int64)
	projects map[string]int64

	copied, holds, linked, tags int64
}

// begin writes the projects and the epochs. A new epoch begins, because the source may go on, too.
func (i *importer) begin(ctx context.Context) error {
	empty := false
	_, err := i.tx.Exec(ctx, lockTables)
	if err == nil {
		err = i.tx.QueryRow(ctx, isEmpty).Scan(&empty)
	}
	switch {
	case err != nil:
		return err
	case !empty:
		return ErrNotEmpty
	}
	for _, p := range i.head.Projects {
		var id int64
		err = i.tx.QueryRow(ctx, importProject, []byte(p.Name)).Scan(&id)
		if err == nil {
			_, err = i.tx.Exec(ctx, importFeed, id, i.head.Last, p.Floor)
		}
		if err != nil {
			return err
		}
		i.projects[p.Name] = id
	}
	_, err = i.tx.Exec(ctx, firstOfAll, i.head.Last, i.head.Floor)
	if err == nil {
		_, err = i.tx.Exec(ctx, noEpochs)
	}
	for _, epoch := range append(i.head.Epochs, store.Epoch{ID: store.NewEpochID(), First: i.head.Last}) {
		if err == nil {
			_, err = i.tx.Exec(ctx, importEpoch, epoch.First, epoch.ID)
		}
	}
	return err
}

// each calls do with the waits of the source, some at a time.
func (i *importer) each(ctx context.Context, what string, do func([]store.CopiedWait) error) (n int64, err error) {
	for after := int64(0); ; {
		some, err := i.source.Waits(ctx, after)
		if err != nil || len(some) == 0 {
			return n, err
		}
		if err := do(some); err != nil {
			return n, err
		}
		after = some[len(some)-1].Row
		n += int64(len(some))
		i.progress(what, n, i.head.Waits)
	}
}

func (i *importer) waits(ctx context.Context) (err error) {
	i.copied, err = i.each(ctx, "copied", func(some []store.CopiedWait) error {
		var rows, pending, outcomes, tags [][]any
		for _, x := range some {
			w := x.Wait
			key := store.Digest(engine.Key{ProjectID: w.ProjectID, WorkflowID: w.WorkflowID, RunID: w.RunID, StateID: w.StateID})
			project := i.projects[w.ProjectID]
			rows = append(rows, []any{
				x.Row, key, project, []byte(w.WaitID), []byte(w.WorkflowID), []byte(w.RunID), []byte(w.StateID), []byte(w.ExecutionID), w.CreatedAt, w.ExpiresAt,
				optional(w.Title), tagsText(w.Tags), optional(w.OpenedBy), []byte(w.Input), []byte(w.OutputSchema),
			})
			for _, tag := range w.Tags {
				tags = append(tags, []any{project, []byte(tag), x.Row})
				i.tags++
			}
			if x.Position == 0 {
				pending = append(pending, []any{key, x.Row, project, w.ExpiresAt, []byte(w.ExecutionID), w.OutputSchema != nil})
				continue
			}
			outcomes = append(outcomes, outcomeRow(project, x))
		}
		for _, table := range []struct {
			name    string
			columns []string
			rows    [][]any
		}{
			{"waits", []string{"id", "key", "project", "wait_id", "workflow_id", "run_id", "state_id", "execution_id", "created_at", "expires_at", "title", "tags", "opened_by", "input", "output_schema"}, rows},
			{"pending", []string{"key", "wait", "project", "deadline", "execution_id", "typed"}, pending},
			{"outcomes", []string{"project", "position", "wait", "at", "status", "error", "output", "caller"}, outcomes},
			{"tags", []string{"project", "tag", "wait"}, tags},
		} {
			if _, err := i.tx.CopyFrom(ctx, pgx.Identifier{"flowcallback", table.name}, table.columns, pgx.CopyFromRows(table.rows)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		_, err = i.tx.Exec(ctx, afterWaits, i.head.LastWait)
	}
	return err
}

func outcomeRow(project int64, x store.CopiedWait) []any {
	w := x.Wait
	at, reason := *w.SettledAt, w.CancelReason
	var output []byte
	if w.Outcome != nil {
		reason, output = w.Outcome.Error, w.Outcome.Output
	}
	if w.Status == waits.Expired {
		at = x.AddedAt // settled_at is the deadline
	}
	return []any{project, x.Position, x.Row, at, int16(store.StatusOf(w.Status)), optional(reason), output, optional(w.SettledBy)} //nolint:gosec // 2 to 5
}

func (i *importer) links(ctx context.Context) error {
	for after := int64(0); ; {
		some, err := i.source.Links(ctx, after)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			_, err := i.tx.Exec(ctx, afterLinks, i.head.LastLink)
			return err
		}
		var rows [][]any
		for _, l := range some {
			rows = append(rows, []any{l.ID, l.Digest, l.Wait, l.Allow, optional(l.To), l.CreatedAt, optional(l.CreatedBy), l.ExpiresAt})
		}
		if _, err := i.tx.CopyFrom(ctx, pgx.Identifier{"flowcallback", "links"}, []string{"id", "digest", "wait", "allow", "recipient", "created_at", "created_by", "expires_at"}, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		after = some[len(some)-1].ID
		i.linked += int64(len(some))
	}
}

func (i *importer) held(ctx context.Context) error {
	for after := int64(0); ; {
		some, err := i.source.Held(ctx, after)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, h := range some {
			_, err := i.tx.Exec(ctx, importHeld, store.Digest(h.Key), []byte(h.Key.WorkflowID), []byte(h.Key.RunID), []byte(h.Key.StateID), []byte(h.ExecutionID), h.HeldAt,
				i.projects[h.Key.ProjectID], int16(store.StatusOf(waits.Status(h.Outcome.Result))), optional(h.Outcome.Error), []byte(h.Outcome.Output), optional(h.Principal)) //nolint:gosec // 2 or 3
			if err != nil {
				return err
			}
		}
		after = some[len(some)-1].Row
		i.holds += int64(len(some))
	}
}

// compare reads everything back.
func (i *importer) compare(ctx context.Context) error {
	var copied, held, linked int64
	if err := i.tx.QueryRow(ctx, countImported).Scan(&copied, &held, &linked); err != nil {
		return err
	}
	if copied != i.copied || held != i.holds || linked != i.linked {
		return fmt.Errorf("the database has %d waits, %d held callbacks and %d links, and %d, %d and %d were copied", copied, held, linked, i.copied, i.holds, i.linked)
	}
	var wrong, tags int64
	err := i.tx.QueryRow(ctx, notPending).Scan(&wrong)
	if err == nil {
		err = i.tx.QueryRow(ctx, countTags).Scan(&tags)
	}
	if err == nil && (wrong != 0 || tags != i.tags) {
		err = fmt.Errorf("%d waits do not wait after the copy, and %d of %d tags are there", wrong, tags, i.tags)
	}
	if err != nil {
		return err
	}
	_, err = i.each(ctx, "compared", func(some []store.CopiedWait) error {
		for len(some) > 0 {
			project := some[0].Wait.ProjectID
			var ids []int64
			n := 0
			for ; n < len(some) && some[n].Wait.ProjectID == project; n++ {
				ids = append(ids, some[n].Row)
			}
			rows, err := i.tx.Query(ctx, byRow, 0, []byte(project), ids)
			if err != nil {
				return err
			}
			found, err := pgx.CollectRows(rows, scanRecord)
			if err != nil {
				return err
			}
			known := map[int64]record{}
			for _, r := range found {
				known[r.id] = r
			}
			for _, x := range some[:n] {
				r := known[x.Row]
				if r.position != x.Position || !reflect.DeepEqual(r.wait, x.Wait) {
					return fmt.Errorf("wait %s differs from the source after the copy", x.Wait.WaitID)
				}
			}
			some = some[n:]
		}
		return nil
	})
	return err
}

func (i *importer) compareHeld(ctx context.Context) error {
	last := int64(0) // rows are in the order of the source, with other numbers
	for after := int64(0); ; {
		want, err := i.source.Held(ctx, after)
		if err != nil || len(want) == 0 {
			return err
		}
		rows, err := i.tx.Query(ctx, importedHeld, last, len(want))
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h store.CopiedHeld, err error) {
			var project, workflow, run, state, execution, text, output, caller []byte
			var status store.Status
			err = row.Scan(&h.Row, &project, &workflow, &run, &state, &execution, &status, &text, &output, &caller, &h.HeldAt)
			h.Key = engine.Key{ProjectID: string(project), WorkflowID: string(workflow), RunID: callback.RunID(run), StateID: callback.StateID(state)}
			h.ExecutionID, h.Principal, h.HeldAt = string(execution), string(caller), h.HeldAt.UTC()
			h.Outcome = waits.Outcome{Result: callback.Result(status.Name()), Error: string(text), Output: output}
			return h, err
		})
		if err != nil {
			return err
		}
		for n, w := range want {
			if n >= len(found) {
				return fmt.Errorf("held callback %d is missing after the copy", w.Row)
			}
			after, last = w.Row, found[n].Row
			found[n].Row = w.Row
			if !reflect.DeepEqual(found[n], w) {
				return fmt.Errorf("held callback %d differs from the source after the copy", w.Row)
			}
		}
	}
}

func (i *importer) compareLinks(ctx context.Context) error {
	for after := int64(0); ; {
		want, err := i.source.Links(ctx, after)
		if err != nil || len(want) == 0 {
			return err
		}
		rows, err := i.tx.Query(ctx, importedLinks, after, len(want))
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l store.CopiedLink, err error) {
			var to, createdBy []byte
			err = row.Scan(&l.ID, &l.Digest, &l.Wait, &l.Allow, &to, &l.CreatedAt, &createdBy, &l.ExpiresAt)
			l.To, l.CreatedBy, l.CreatedAt = string(to), string(createdBy), l.CreatedAt.UTC()
			if l.ExpiresAt != nil {
				l.ExpiresAt = new(l.ExpiresAt.UTC())
			}
			return l, err
		})
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(found, want) {
			return fmt.Errorf("the links after %d differ from the source after the copy", after)
		}
		after = want[len(want)-1].ID
	}
}
