package store

import (
	"context"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// A Source is a store that is copied to another. It does not change meanwhile.
type Source interface {
	// Head returns what there is to copy.
	Head(ctx context.Context) (Head, error)
	// Waits returns the next waits after a row, in the order of rows; none at the end.
	Waits(ctx context.Context, after int64) ([]CopiedWait, error)
	// Held returns the next held callbacks after a row, in the order of rows; none at the end.
	Held(ctx context.Context, after int64) ([]CopiedHeld, error)
	// Links returns the next links after an id, in the order of ids; none at the end.
	Links(ctx context.Context, after int64) ([]CopiedLink, error)
}

// A Head is what a store has beside its waits.
type Head struct {
	Last     int64 // the last position of all feeds
	LastWait int64 // the last row that a wait has had
	LastLink int64 // the last id that a link has had
	Floor    int64 // of projects that the store does not know
	Epochs   Epochs
	Projects []CopiedProject
	Waits    int64 // how many there are
}

// A CopiedProject is a project of a source.
type CopiedProject struct {
	Name  string
	Floor int64 // the last position that retention has deleted
}

// A CopiedWait is a wait of a source.
type CopiedWait struct {
	Row      int64
	Position int64     // in the feed; 0 while it waits
	AddedAt  time.Time // to the feed
	Wait     waits.Wait
}

// A CopiedHeld is a held callback of a source.
type CopiedHeld struct {
	Row         int64
	Key         engine.Key
	ExecutionID string
	Outcome     waits.Outcome
	Principal   string
	HeldAt      time.Time
}

// A CopiedLink is a link of a source.
type CopiedLink struct {
	ID        int64
	Digest    []byte
	Wait      int64 // its row
	Allow     int16
	To        string
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt *time.Time // nil: with its wait
}
