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
	// limitAge is how long a namespace's limit is believed, by payloads of smallSize at most:
	// nobody lowers it below that. For larger ones it is asked each time.
	limitAge  = 10 * time.Minute
	smallSize = 16 << 10
)

// limits knows how large a payload each namespace takes. Temporal answers one that is larger
// with success, and then fails the activity itself.
type limits struct {
	mu    sync.Mutex
	known map[string]limit
}

type limit struct {
	bytes int
	told  bool // by Temporal, rather than its default
	asked time.Time
}

// check refuses with engine.ErrTooLarge what is larger than the namespace takes, and reports
// whether that is sure: a Temporal that does not say its limit may have a lower one.
func (l *limits) check(ctx context.Context, e *Engine, namespace string, size int) (sure bool, err error) {
	most, err := l.of(ctx, e, namespace, size)
	if err != nil {
		return false, err
	}
	if size > most.bytes {
		return false, fmt.Errorf("%d bytes for a namespace that takes %d: %w", size, most.bytes, engine.ErrTooLarge)
	}
	return most.told || size <= smallSize, nil
}

func (l *limits) of(ctx context.Context, e *Engine, namespace string, size int) (limit, error) {
	l.mu.Lock()
	known, ok := l.known[namespace]
	l.mu.Unlock()
	if ok && size <= smallSize && time.Since(known.asked) < limitAge {
		return known, nil
	}
	answer, err := e.service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return known, err
	}
	bytes := int(answer.GetNamespaceInfo().GetLimits().GetBlobSizeLimitError())
	known = limit{bytes, bytes > 0, time.Now()}
	if !known.told {
		known.bytes = defaultLimit
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]limit{}
	}
	l.known[namespace] = known
	return known, nil
}
