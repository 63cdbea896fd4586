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
	// defaultLimit is Temporal's default of limit.blobSize.error, for servers that do not
	// report their limit.
	defaultLimit = 2 << 20
	// limitAge is how long a namespace's limit is cached for payloads of at most smallSize,
	// because a limit below that is unlikely. For larger payloads it is read each time.
	limitAge  = 10 * time.Minute
	smallSize = 16 << 10
)

// limits caches the payload limit of each namespace. Temporal answers success to a larger
// payload, and then fails the activity.
type limits struct {
	mu    sync.Mutex
	cache map[string]limit
}

type limit struct {
	bytes int
	exact bool // reported by Temporal, not assumed
	read  time.Time
}

// check refuses a payload above the limit with engine.ErrTooLarge, and reports whether the
// limit is certain: a Temporal that does not report its limit may have a lower one.
func (l *limits) check(ctx context.Context, e *Engine, namespace string, size int) (sure bool, err error) {
	most, err := l.get(ctx, e, namespace, size)
	if err != nil {
		return false, err
	}
	if size > most.bytes {
		return false, fmt.Errorf("%d bytes, and the limit of the namespace is %d: %w", size, most.bytes, engine.ErrTooLarge)
	}
	return most.exact || size <= smallSize, nil
}

// get returns the limit of a namespace.
func (l *limits) get(ctx context.Context, e *Engine, namespace string, size int) (limit, error) {
	l.mu.Lock()
	cached, ok := l.cache[namespace]
	l.mu.Unlock()
	if ok && size <= smallSize && time.Since(cached.read) < limitAge {
		return cached, nil
	}
	answer, err := e.service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return cached, err
	}
	bytes := int(answer.GetNamespaceInfo().GetLimits().GetBlobSizeLimitError())
	cached = limit{bytes, bytes > 0, time.Now()}
	if !cached.exact {
		cached.bytes = defaultLimit
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cache == nil {
		l.cache = map[string]limit{}
	}
	l.cache[namespace] = cached
	return cached, nil
}
