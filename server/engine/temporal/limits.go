package temporal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// defaultLimit is Temporal's own default of limit.blobSize.error, for servers that do
	// not say what theirs is.
	defaultLimit = 2 << 20
	// limitAge is how long a namespace's limit is believed.
	limitAge = 10 * time.Minute
)

// limits knows how large a payload each namespace takes. Temporal answers one that is larger
// with success, and then fails the activity itself.
type limits struct {
	mu    sync.Mutex
	known map[string]limit
}

type limit struct {
	bytes int
	asked time.Time
}

// check refuses with engine.ErrTooLarge what is larger than the namespace takes.
func (l *limits) check(ctx context.Context, e *Engine, namespace string, size int) error {
	most, err := l.of(ctx, e, namespace)
	if err != nil {
		return err
	}
	if size > most {
		return fmt.Errorf("%d bytes for a namespace that takes %d: %w", size, most, engine.ErrTooLarge)
	}
	return nil
}

func (l *limits) of(ctx context.Context, e *Engine, namespace string) (int, error) {
	l.mu.Lock()
	known, ok := l.known[namespace]
	l.mu.Unlock()
	if ok && time.Since(known.asked) < limitAge {
		return known.bytes, nil
	}
	answer, err := e.service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return 0, err
	}
	known = limit{int(answer.GetNamespaceInfo().GetLimits().GetBlobSizeLimitError()), time.Now()}
	if known.bytes == 0 {
		known.bytes = defaultLimit
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]limit{}
	}
	l.known[namespace] = known
	return known.bytes, nil
}
