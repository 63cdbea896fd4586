package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/flowcallback/flowcallback/server/engine/store"
)

// A change is one statement for one caller. It may run twice. If it returns a store.Refusal,
// that is the caller's answer.
type change func(ctx context.Context, c *pgx.Conn) error

// change runs a change.
func (e *Engine) change(ctx context.Context, c *pgx.Conn, batch []*store.Item[change]) ([]error, error) {
	err := batch[0].Change(ctx, c) // the writer takes one at a time
	var refusal store.Refusal
	if err == nil || errors.As(err, &refusal) {
		return []error{err}, nil
	}
	return nil, err
}

// touch commits nothing. What was committed before, perhaps by a server that had no standby then, is as
// durable afterwards as any commit.
func (e *Engine) touch(ctx context.Context) error {
	return e.changes.do(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, touch)
		return err
	})
}

// deletion returns a change that deletes one row. It returns the refusal if there is none, unless an attempt
// of the same change may have deleted it.
func deletion(refusal error, statement string, arguments ...any) change {
	attempted := false
	return func(ctx context.Context, c *pgx.Conn) error {
		again := attempted
		attempted = true
		tag, err := c.Exec(ctx, statement, arguments...)
		if err != nil || tag.RowsAffected() > 0 {
			return err
		}
		if !again {
			return refusal
		}
		_, err = c.Exec(ctx, touch) // so that the deletion of the lost attempt is as durable
		return err
	}
}
