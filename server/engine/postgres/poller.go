package postgres

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A topic is an event that long-polls wait for: a wait with the given row leaves waiting, the feed
// of a project grows, or a wait of it is opened.
type topic struct {
	project string
	wait    int64
	opened  bool
}

// wake wakes the long-polls of this copy.
func (e *Engine) wake(topics ...topic) {
	for _, t := range topics {
		e.hub.Publish(t)
	}
}

const (
	// The poller's pauses while somebody waits: at first and after news, and at most.
	shortPause = 10 * time.Millisecond
	longPause  = 50 * time.Millisecond
	// The least pause, however many begin to wait.
	leastPause = 5 * time.Millisecond
	// The pause while notifications are known to arrive.
	notifiedPause = time.Second
	// newsLimit is the number of new outcomes of a project whose waits are woken one by one.
	newsLimit = 1000

	// The ends of feeds and of lists.
	ends = `
SELECT p.name, p.id, flowcallback.last(p.id), coalesce((SELECT max(id) FROM flowcallback.waits WHERE project = p.id), 0), f.identity
FROM flowcallback.projects p JOIN flowcallback.feed f ON f.project = p.id WHERE p.name = ANY ($1)`
	news = `SELECT wait FROM flowcallback.outcomes WHERE project = $1 AND position > $2 ORDER BY position LIMIT $3`
)

// A poller wakes the long-polls of this copy when another copy has made a change. It asks the database,
// and only while somebody waits. Notifications make it ask at once; it relies on them only while
// the notifications that it sends to itself arrive.
type poller struct {
	watched  chan struct{} // receives when somebody begins to wait
	notified chan struct{} // receives with a notification
	told     chan struct{} // receives when this copy has made a change
	listens  atomic.Bool   // notifications arrive

	known map[string]end // of the projects that were asked for last
	self  string         // names this copy
}

// end is where the feed and the list of a project end.
type end struct {
	project, position, wait int64
	identity                string // of the server and its history
}

// watch tells the poller that somebody waits.
func (p *poller) watch() { signal(p.watched) }

// tell tells the other copies that this one has made a change.
func (p *poller) tell() { signal(p.told) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is signalled already
	}
}

func (p *poller) start() {
	p.watched, p.notified, p.told = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	p.self = strconv.FormatUint(rand.Uint64(), 36)
}

// poll asks for news until ctx ends.
func (e *Engine) poll(ctx context.Context) {
	p := &e.poller
	pause := shortPause
	for ctx.Err() == nil {
		topics := e.hub.Topics()
		if len(topics) == 0 {
			p.known = nil
			select {
			case <-p.watched:
				pause = shortPause
				continue
			case <-ctx.Done():
				return
			}
		}
		if e.askForNews(ctx, topics) {
			pause = shortPause
		} else {
			pause = min(2*pause, longPause)
		}
		asked := time.Now()
		next := pause
		if p.listens.Load() {
			next = notifiedPause
		}
		select {
		case <-time.After(next):
		case <-p.watched: // perhaps of another project
		case <-p.notified:
		case <-ctx.Done():
		}
		if soon := leastPause - time.Since(asked); soon > 0 && ctx.Err() == nil {
			<-time.After(soon) // many who begin to wait are one question
		}
	}
}

// askForNews wakes those who wait for what has changed, and reports whether something has. If it has not
// asked for a project before, it wakes everybody who waits for it, because it does not know what has changed
// since they read.
func (e *Engine) askForNews(ctx context.Context, topics []topic) (isNews bool) {
	waiting := map[string]bool{}
	var names [][]byte
	for _, t := range topics {
		if !waiting[t.project] {
			waiting[t.project] = true
			names = append(names, []byte(t.project))
		}
	}
	found := map[string]end{}
	err := e.background(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, ends, names)
		if err != nil {
			return err
		}
		var name []byte
		var x end
		_, err = pgx.ForEachRow(rows, []any{&name, &x.project, &x.position, &x.wait, &x.identity}, func() error {
			found[string(name)] = x
			return nil
		})
		return err
	})
	if err != nil {
		return false
	}
	before := e.poller.known
	e.poller.known = found
	for name := range waiting {
		was, isKnown := before[name]
		now := found[name] // the zero value if it does not exist yet
		found[name] = now
		switch {
		case !isKnown:
			e.wakeAll(name)
		case was == now:
			continue
		default:
			e.wakeChanged(ctx, name, was, now)
		}
		isNews = true
	}
	return isNews
}

// wakeAll wakes everybody who waits for a project at present, also those who have come since the database
// was asked.
func (e *Engine) wakeAll(name string) {
	for _, t := range e.hub.Topics() {
		if t.project == name {
			e.wake(t)
		}
	}
}

// wakeChanged wakes those who wait for what has changed in a project.
func (e *Engine) wakeChanged(ctx context.Context, name string, was, now end) {
	if now.identity != was.identity || now.position < was.position || now.wait < was.wait {
		e.wakeAll(name) // another server has taken over
		return
	}
	if now.wait != was.wait {
		e.wake(topic{project: name, opened: true})
	}
	if now.position == was.position {
		return
	}
	var left []int64
	err := e.background(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, news, now.project, was.position, newsLimit)
		if err == nil {
			left, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		}
		return err
	})
	if err != nil || len(left) == newsLimit {
		e.wakeAll(name)
		return
	}
	for _, wait := range left {
		e.wake(topic{project: name, wait: wait})
	}
	e.wake(topic{project: name})
}

// background runs do with a connection that reads, for work of the engine itself.
func (e *Engine) background(ctx context.Context, do func(context.Context, *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return e.acquire(ctx, e.own, do)
}

// longPoll calls read until it is done, each time after there was news of a topic, for at most the given
// time. At the end of that time it calls read once more, so that whatever woke nobody is not missed.
func (e *Engine) longPoll(ctx context.Context, t topic, wait time.Duration, read func() (isDone bool, err error)) error {
	timeout, stop := store.TimeoutAfter(wait)
	defer stop()
	for {
		woken, leave := e.hub.Subscribe(t)
		if wait > 0 {
			e.poller.watch()
		}
		isDone, err := read()
		again := err == nil && !isDone && store.Pause(ctx, woken, timeout, e.closed)
		leave()
		if again {
			continue
		}
		if err == nil {
			err = e.ended(ctx)
		}
		if err == nil && !isDone && wait > 0 {
			_, err = read()
		}
		return err
	}
}
