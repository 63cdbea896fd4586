package sqlite

import "sync"

// A topic is an event that long-polls wait for: a wait with the given id leaves waiting,
// the feed of a project grows, or a wait of a project is opened.
type topic struct {
	wait   int64 // its row
	feed   int64 // its project
	opened int64 // its project
}

// hub wakes long-polls. A long-poll subscribes before it reads, so that it misses nothing
// between the two.
type hub struct {
	mu     sync.Mutex
	groups map[topic]*group
}

type group struct {
	woken chan struct{} // closed by publish
	size  int
}

func newHub() *hub { return &hub{groups: map[topic]*group{}} }

// subscribe returns a channel that the next publish of t closes, and a function that ends
// the subscription.
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
