package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	addLink    = `SELECT flowcallback.add_link($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	selectLink = `
SELECT l.id, l.allow, l.recipient, l.created_at, l.created_by, least(l.expires_at, w.expires_at), w.id, p.name, coalesce(l.expires_at <= flowcallback.now($1), false)
FROM flowcallback.links l JOIN flowcallback.waits w ON w.id = l.wait JOIN flowcallback.projects p ON p.id = w.project `
	linkByDigest = selectLink + `WHERE l.digest = $2`
	linksOfWait  = selectLink + `WHERE l.wait = $2 ORDER BY l.id`
	withdrawLink = `
DELETE FROM flowcallback.links l USING flowcallback.waits w, flowcallback.projects p
WHERE l.id = $1 AND l.wait = w.id AND w.wait_id = $2 AND w.project = p.id AND p.name = $3`
)

// The stored forms of what a link allows.
const (
	allowSuccess = 1 << iota
	allowFail
)

// The answers of flowcallback.add_link.
const (
	linkUnknown = iota
	linkEnded
	linkFull
)

func allowed(results []callback.Result) (bits int16) {
	if slices.Contains(results, callback.Success) {
		bits |= allowSuccess
	}
	if slices.Contains(results, callback.Fail) {
		bits |= allowFail
	}
	return bits
}

// storedLink is a link with its wait.
type storedLink struct {
	link    waits.Link
	wait    int64
	project string
	over    bool // its own time has passed
}

// scanLink reads the columns of selectLink.
func scanLink(row pgx.CollectableRow) (l storedLink, err error) {
	var id int64
	var allow int16
	var recipient, createdBy, project []byte
	if err := row.Scan(&id, &allow, &recipient, &l.link.CreatedAt, &createdBy, &l.link.ExpiresAt, &l.wait, &project, &l.over); err != nil {
		return l, err
	}
	l.project = string(project)
	l.link.LinkID, l.link.To, l.link.CreatedBy = strconv.FormatInt(id, 10), string(recipient), string(createdBy)
	l.link.CreatedAt, l.link.ExpiresAt = l.link.CreatedAt.UTC(), l.link.ExpiresAt.UTC()
	if allow&allowSuccess != 0 {
		l.link.Allow = append(l.link.Allow, callback.Success)
	}
	if allow&allowFail != 0 {
		l.link.Allow = append(l.link.Allow, callback.Fail)
	}
	return l, nil
}

func (e *Engine) links(ctx context.Context, project, statement string, argument any) (all []storedLink, err error) {
	err = e.read(ctx, project, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, statement, e.ahead(), argument)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanLink)
		return err
	})
	return all, err
}

// CreateLink implements engine.Linker.
func (e *Engine) CreateLink(ctx context.Context, projectID, waitID string, link engine.NewLink) (waits.Link, error) {
	var answer int
	err := e.changes.do(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, addLink, e.ahead(), []byte(projectID), []byte(waitID), link.Digest[:], allowed(link.Allow), optional(link.To), optional(link.Principal),
			link.Timeout.Milliseconds(), int64(waits.LinksMaxItems)).Scan(&answer)
	})
	switch {
	case err != nil:
		return waits.Link{}, err
	case answer == linkUnknown:
		return waits.Link{}, store.Refuse(engine.ErrNotFound, "wait %s", waitID)
	case answer == linkEnded:
		return waits.Link{}, store.Refuse(engine.ErrNotWaiting, "wait %s", waitID)
	case answer == linkFull:
		return waits.Link{}, store.Refuse(engine.ErrLinks, "wait %s", waitID)
	}
	all, err := e.links(ctx, projectID, linkByDigest, link.Digest[:])
	if err == nil && len(all) == 0 { // withdrawn, or forgotten with its wait
		err = store.Refuse(engine.ErrNotFound, "link")
	}
	if err != nil {
		return waits.Link{}, err
	}
	return all[0].link, nil
}

// ListLinks implements engine.Linker.
func (e *Engine) ListLinks(ctx context.Context, projectID, waitID string) (waits.Links, error) {
	r, err := e.wait(ctx, projectID, byID, []byte(waitID))
	if err != nil {
		return nil, err
	}
	all, err := e.links(ctx, projectID, linksOfWait, r.id)
	links := waits.Links{}
	for _, l := range all {
		links = append(links, l.link)
	}
	return links, err
}

// WithdrawLink implements engine.Linker.
func (e *Engine) WithdrawLink(ctx context.Context, projectID, waitID, linkID string) error {
	id, err := store.ParsePosition(linkID)
	if err != nil {
		return fmt.Errorf("link %s: %w", linkID, engine.ErrNotFound)
	}
	return e.changes.do(ctx, deletion(store.Refuse(engine.ErrNotFound, "link %s", linkID), withdrawLink, id, []byte(waitID), []byte(projectID)))
}

// FollowLink implements engine.Linker.
func (e *Engine) FollowLink(ctx context.Context, digest [32]byte) (waits.Link, waits.Wait, error) {
	all, err := e.links(ctx, "", linkByDigest, digest[:])
	switch {
	case err != nil:
		return waits.Link{}, waits.Wait{}, err
	case len(all) == 0:
		return waits.Link{}, waits.Wait{}, store.Refuse(engine.ErrNotFound, "link")
	case all[0].over:
		return waits.Link{}, waits.Wait{}, store.Refuse(engine.ErrExpired, "link")
	}
	for {
		found, err := e.inOrder(ctx, all[0].project, []int64{all[0].wait})
		switch {
		case err != nil:
			return waits.Link{}, waits.Wait{}, err
		case len(found) == 0:
			return waits.Link{}, waits.Wait{}, store.Refuse(engine.ErrNotFound, "link")
		case !found[0].due:
			return all[0].link, found[0].wait, nil
		}
		if err := e.expire(ctx, all[0].project, found); err != nil {
			if !cannotWrite(err) {
				return waits.Link{}, waits.Wait{}, err
			}
			found[0].showExpired()
			return all[0].link, found[0].wait, errors.Join(e.ended(ctx))
		}
	}
}
