package temporal

import (
	"context"
	"sync"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
)

// pagesLimit is the number of pages that are remembered. More are read again each time.
const pagesLimit = 1000

// pages remembers pages for a moment. Of callers that want the same page, one reads it.
type pages struct {
	mu    sync.Mutex
	known map[string]*readPage
}

// readPage is a page that is read, or was.
type readPage struct {
	done chan struct{} // closed when it is read
	at   time.Time
	page waits.WaitPage
	err  error
}

// get returns the page with a name, which read reads. A caller does not wait for the others after its
// ctx has ended. The caller must not change the page.
func (p *pages) get(ctx context.Context, name string, read func(context.Context) (waits.WaitPage, error)) (waits.WaitPage, error) {
	p.mu.Lock()
	r := p.known[name]
	if r == nil || r.isOver() {
		p.forget()
		r = &readPage{done: make(chan struct{})}
		if len(p.known) < pagesLimit {
			p.known[name] = r
		}
		go func() {
			r.page, r.err = read(context.WithoutCancel(ctx))
			r.at = time.Now()
			close(r.done)
		}()
	}
	p.mu.Unlock()
	select {
	case <-r.done:
		return r.page, r.err
	case <-ctx.Done():
		return waits.WaitPage{}, ctx.Err()
	}
}

// isOver reports whether a page must be read again.
func (r *readPage) isOver() bool {
	select {
	case <-r.done:
		return r.err != nil || time.Since(r.at) > reuseFor
	default:
		return false
	}
}

// forget removes the pages that must be read again. The caller holds the lock.
func (p *pages) forget() {
	if p.known == nil {
		p.known = map[string]*readPage{}
	}
	for name, r := range p.known {
		if r.isOver() {
			delete(p.known, name)
		}
	}
}
