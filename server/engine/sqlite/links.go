package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	insertLink   = `INSERT INTO links (digest, wait, allow, recipient, created_at, created_by, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	linksOfWait  = `SELECT l.id, l.allow, l.recipient, l.created_at, l.created_by, min(coalesce(l.expires_at, w.expires_at), w.expires_at), w.id, l.expires_at FROM links l JOIN waits w ON w.id = l.wait `
	linkNumber   = `SELECT count(*) FROM links WHERE wait = ?`
	linkByDigest = linksOfWait + `WHERE l.digest = ?`
	listLinks    = linksOfWait + `WHERE l.wait = ? ORDER BY l.id`
	linkToSettle = `SELECT wait, expires_at FROM links WHERE digest = ?`
	deleteLink   = `DELETE FROM links WHERE id = ? AND wait = (SELECT id FROM waits WHERE wait_id = ? AND project = ?)`
)

// The stored forms of what a link allows.
const (
	allowSuccess = 1 << iota
	allowFail
)

func allowed(results []callback.Result) (bits int) {
	if slices.Contains(results, callback.Success) {
		bits |= allowSuccess
	}
	if slices.Contains(results, callback.Fail) {
		bits |= allowFail
	}
	return bits
}

// scanLink reads linksOfWait.
func scanLink(row *sqlite3.Stmt) (link waits.Link, wait int64) {
	link = waits.Link{
		LinkID: row.ColumnText(0), To: row.ColumnText(2), CreatedAt: instant(row.ColumnInt64(3)), CreatedBy: row.ColumnText(4), ExpiresAt: instant(row.ColumnInt64(5)),
	}
	if row.ColumnInt(1)&allowSuccess != 0 {
		link.Allow = append(link.Allow, callback.Success)
	}
	if row.ColumnInt(1)&allowFail != 0 {
		link.Allow = append(link.Allow, callback.Fail)
	}
	return link, row.ColumnInt64(6)
}

// CreateLink implements engine.Linker.
func (e *Engine) CreateLink(ctx context.Context, projectID, waitID string, link engine.NewLink) (waits.Link, error) {
	return commit(ctx, e.writer, func(t *tx) (created waits.Link, err error) {
		w, err := e.changing(t, projectID, waitID)
		switch {
		case err != nil:
			return created, err
		case w.status != store.Waiting:
			return created, store.Refuse(engine.ErrNotWaiting, "wait %s", waitID)
		}
		full := false
		err = t.query(linkNumber, func(row *sqlite3.Stmt) error {
			full = row.ColumnInt(0) >= waits.LinksMaxItems
			return nil
		}, w.wait)
		if err == nil && full {
			err = store.Refuse(engine.ErrLinks, "wait %s", waitID)
		}
		if err != nil {
			return created, err
		}
		now := e.now()
		var expiresAt any
		if link.Timeout != 0 {
			expiresAt = now + link.Timeout.Milliseconds()
		}
		err = t.execute(insertLink, link.Digest[:], w.wait, allowed(link.Allow), optional(link.To), now, optional(link.Principal), expiresAt)
		if err != nil {
			return created, err
		}
		err = t.query(linkByDigest, func(row *sqlite3.Stmt) error {
			created, _ = scanLink(row)
			return nil
		}, link.Digest[:])
		return created, err
	})
}

// ListLinks implements engine.Linker.
func (e *Engine) ListLinks(ctx context.Context, projectID, waitID string) (waits.Links, error) {
	links := waits.Links{}
	found := false
	err := e.readers.read(ctx, projectID, func(c *conn) error {
		project, err := e.knownProject(c, projectID)
		if err != nil || project == 0 {
			return err
		}
		var wait int64
		err = c.query(waitToChange, func(row *sqlite3.Stmt) error {
			wait, found = row.ColumnInt64(0), true
			return nil
		}, waitID, project)
		if err != nil || !found {
			return err
		}
		return c.query(listLinks, func(row *sqlite3.Stmt) error {
			link, _ := scanLink(row)
			links = append(links, link)
			return nil
		}, wait)
	})
	if err == nil && !found {
		err = fmt.Errorf("wait %s: %w", waitID, engine.ErrNotFound)
	}
	return links, errors.Join(err, e.ended(ctx))
}

// WithdrawLink implements engine.Linker.
func (e *Engine) WithdrawLink(ctx context.Context, projectID, waitID, linkID string) error {
	id, err := strconv.ParseInt(linkID, 10, 64)
	if err != nil {
		return fmt.Errorf("link %s: %w", linkID, engine.ErrNotFound)
	}
	return e.writer.do(ctx, func(t *tx) error {
		project, err := e.projectOf(t.conn, projectID)
		if err == nil {
			err = t.execute(deleteLink, id, waitID, project)
		}
		if err == nil && t.Changes() == 0 {
			err = store.Refuse(engine.ErrNotFound, "link %s", linkID)
		}
		return err
	})
}

// linkReaders is the name under which links share connections: their projects are not known
// before they are read.
const linkReaders = "links"

// FollowLink implements engine.Linker.
func (e *Engine) FollowLink(ctx context.Context, digest [32]byte) (link waits.Link, wait waits.Wait, err error) {
	now := e.now()
	for isExpired := false; ; isExpired = true {
		var r record
		found, isOver := false, false
		err = e.readers.read(ctx, linkReaders, func(c *conn) error {
			var of int64
			err := c.query(linkByDigest, func(row *sqlite3.Stmt) error {
				link, of = scanLink(row)
				isOver = row.ColumnType(7) != sqlite3.NULL && row.ColumnInt64(7) <= now
				return nil
			}, digest[:])
			if err == nil && of != 0 && !isOver {
				r, found, err = e.record(c, waitByRow, of)
			}
			return err
		})
		switch {
		case err != nil:
			return link, wait, errors.Join(err, e.ended(ctx))
		case isOver:
			return link, wait, fmt.Errorf("link: %w", engine.ErrExpired)
		case !found:
			return link, wait, fmt.Errorf("link: %w", engine.ErrNotFound)
		case isExpired || !r.isDue(now):
			r.showExpired(now)
			return link, r.wait, e.ended(ctx)
		}
		if err := e.expire(ctx, []record{r}, now); err != nil {
			return link, wait, err
		}
	}
}

// checkLink refuses a callback unless its link is good, and its key is that of the link's wait.
func (e *Engine) checkLink(t *tx, digest [32]byte, key []byte) error {
	var wait int64
	isOver := false
	err := t.query(linkToSettle, func(row *sqlite3.Stmt) error {
		wait = row.ColumnInt64(0)
		isOver = row.ColumnType(1) != sqlite3.NULL && row.ColumnInt64(1) <= e.now()
		return nil
	}, digest[:])
	if err != nil {
		return err
	}
	if isOver {
		return store.Refuse(engine.ErrExpired, "callback by a link")
	}
	k, _, err := t.keyed(key)
	if err == nil && (wait == 0 || k.wait != wait) {
		err = store.Refuse(engine.ErrNotFound, "callback by a link")
	}
	return err
}
