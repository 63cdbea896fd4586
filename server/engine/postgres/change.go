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

// change runs the changes of a batch, each in a transaction of its own.
func (e *Engine) change(ctx context.Context, c *pgx.Conn, batch []*store.Item[change]) ([]error, error) {
	answers := make([]error, len(batch))
	for i, item := range batch {
		err := item.Change(ctx, c)
		var refusal store.Refusal
		if err != nil && !errors.As(err, &refusal) {
			if isLost(err) || isPassing(err) {
				return nil, err // all of them again
			}
			err = explain(err)
		}
		answers[i] = err
	}
	return answers, nil
}
