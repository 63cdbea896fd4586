package sqlite

import (
	"context"
	"errors"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

// CountWaits implements engine.Reader.
func (e *Engine) CountWaits(ctx context.Context, projectID string, params waits.CountWaitsParams) (counts waits.WaitCounts, err error) {
	f := filterOf(params)
	if _, err := e.upToDate(ctx, store.Waiting); err != nil {
		return counts, errors.Join(err, e.ended(ctx))
	}
	err = e.readers.read(ctx, projectID, func(c *conn) error {
		project, err := e.knownProject(c, projectID)
		if err != nil || project == 0 {
			return err
		}
		return c.snapshot(func() error {
			for status, count := range map[store.Status]*waits.Count{store.Waiting: &counts.Waiting, store.Success: &counts.Success, store.Fail: &counts.Fail, store.Expired: &counts.Expired, store.Cancelled: &counts.Cancelled} {
				if err := c.count(project, f, status, count); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return counts, errors.Join(err, e.ended(ctx))
}

// count counts the waits with a filter and a status, up to the limit.
func (c *conn) count(project int64, f filter, s store.Status, count *waits.Count) error {
	found, err := c.newSearch(project, f, s)
	if err != nil {
		return err
	}
	return found.walk(0, false, func(int64) error {
		if count.Waits == waits.CountedWaitsMaximum {
			count.More = true
			return errStop
		}
		count.Waits++
		return nil
	})
}
