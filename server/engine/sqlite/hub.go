package sqlite

import "sync"

// A topic is something to be woken for: a wait that leaves waiting, by its id, or a
// project's feed.
type topic struct{ wait, feed string }

// hub wakes long-polls. Whoever wants to be woken subscribes first and looks second, so
// that nothing is missed in between.
type hub struct {
	mu     sync.Mutex
	groups map[topic]*group
}

type group struct {
	woken chan struct{} // closed by publish
	size  int
}

func newHub() *hub { return &hub{groups: map[topic]*group{}} }

// subscribe returns a channel that is closed at the next publish of t, and what to call
// when it is no longer needed.
func (h *hub) subscribe(t topic) (woken <-chan struct{}, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.groups[t]
	if g == nil {
		g = &group{woken: make(chan struct{})}
		h.groups[t] = g
	}
	g.size++
	return g.woken, func() { h.leave(t, g) }
}

func (h *hub) leave(t topic, g *group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g.size--
	if g.size == 0 && h.groups[t] == g {
		delete(h.groups, t)
	}
}

func (h *hub) publish(t topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g := h.groups[t]; g != nil {
		close(g.woken)
		delete(h.groups, t)
	}
}
