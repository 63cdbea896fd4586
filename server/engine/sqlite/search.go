package sqlite

import (
	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/ncruces/go-sqlite3"
)

const (
	// windowChunks is the number of chunks of the sets of a window, which a search reads at once.
	windowChunks = 16
	windowWaits  = windowChunks * listChunk
)

const (
	chunksOfSet   = `SELECT chunk, waits FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk BETWEEN ? AND ?`
	nextChunk     = `SELECT min(chunk) FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk >= ?`
	lastChunk     = `SELECT max(chunk) FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk <= ?`
	chunksOfNames = `SELECT chunk, waits FROM lists WHERE project = ? AND name >= ? AND name < ? AND status = 0`
	foldedUpTo    = `SELECT opened FROM state`
)

// A search finds the waits that are in several sets, as of the last fold. All of its reads must be
// in one transaction.
type search struct {
	c       *conn
	project int64
	sets    []set
	union   map[int64][]uint64 // of some sets, by window; one of them must have a wait. nil: there are none
	upTo    int64              // the last wait that the fold has put into all of its sets

	windows map[int64][]uint64 // the intersections that were read, by window
}

// A set names the rows of lists with its waits.
type set struct {
	name   string
	status store.Status
}

// newSearch returns a search for the waits of a project with a filter and a status.
func (c *conn) newSearch(project int64, f filter, s store.Status) (*search, error) {
	found := &search{c: c, project: project, windows: map[int64][]uint64{}}
	err := c.query(foldedUpTo, func(row *sqlite3.Stmt) error {
		found.upTo = row.ColumnInt64(0)
		return nil
	})
	if s != store.AnyStatus || len(f.names) == 0 {
		found.sets = append(found.sets, set{"", s})
	}
	for _, name := range f.names {
		found.sets = append(found.sets, set{name, store.AnyStatus})
	}
	if err != nil || f.prefix == "" {
		return found, err
	}
	found.union = map[int64][]uint64{}
	end := f.prefix + "\xff" // is in no text
	return found, c.query(chunksOfNames, func(row *sqlite3.Stmt) error {
		addChunk(found.union, row)
		return nil
	}, project, f.prefix, end)
}

// addChunk adds a row of chunk and waits to the windows that it is in.
func addChunk(windows map[int64][]uint64, row *sqlite3.Stmt) {
	chunk := row.ColumnInt64(0)
	first := chunk / windowChunks * windowWaits
	if windows[first] == nil {
		windows[first] = make([]uint64, windowWaits/64)
	}
	var data [listChunk / 8]byte
	unpackBits(data[:], row.ColumnRawBlob(1))
	words := windows[first][chunk%windowChunks*listChunk/64:]
	for i, b := range data {
		words[i/8] |= uint64(b) << (i % 8 * 8)
	}
}

// walk calls found with the waits from one on, upwards or downwards, until it returns errStop.
func (s *search) walk(from int64, down bool, found func(wait int64) error) error {
	if down {
		from = min(from, s.upTo)
	}
	for from >= 0 && from <= s.upTo {
		chunk, ok, err := s.nearest(from/listChunk, down)
		if err != nil || !ok {
			return err
		}
		if start := chunk * listChunk; !down {
			from = max(from, start)
		} else {
			from = min(from, start+listChunk-1)
		}
		first, window, err := s.window(from)
		if err != nil {
			return err
		}
		if from, err = scan(first, window, from, s.upTo, down, found); err != nil {
			if err == errStop { //nolint:errorlint // it is never wrapped
				return nil
			}
			return err
		}
	}
	return nil
}

// scan calls found with the waits of a window, and returns where the next one begins.
func scan(first int64, window []uint64, from, upTo int64, down bool, found func(int64) error) (next int64, err error) {
	step := int64(1)
	if down {
		step = -1
	}
	for from >= first && from < first+windowWaits && from <= upTo {
		i := from - first
		switch word := window[i/64]; {
		case word == 0 && down:
			from -= i%64 + 1
			continue
		case word == 0:
			from += 64 - i%64
			continue
		case word&(1<<(i%64)) != 0:
			if err := found(from); err != nil {
				return from, err
			}
		}
		from += step
	}
	return from, nil
}

// has reports whether a wait is in the sets.
func (s *search) has(wait int64) (bool, error) {
	first, window, err := s.window(wait)
	if err != nil || wait > s.upTo {
		return false, err
	}
	i := wait - first
	return window[i/64]&(1<<(i%64)) != 0, nil
}

// nearest returns a chunk from which on, upwards or downwards, the sets may have common waits.
func (s *search) nearest(chunk int64, down bool) (_ int64, ok bool, err error) {
	statement := nextChunk
	if down {
		statement = lastChunk
	}
	for _, set := range s.sets {
		ok = false
		err := s.c.query(statement, func(row *sqlite3.Stmt) error {
			if ok = row.ColumnType(0) != sqlite3.NULL; ok {
				chunk = row.ColumnInt64(0)
			}
			return nil
		}, s.project, set.name, set.status, chunk)
		if err != nil || !ok {
			return 0, false, err
		}
	}
	return chunk, true, nil
}

// window returns the waits that are in all sets, of the window with the given wait, and the first
// wait of that window.
func (s *search) window(wait int64) (first int64, window []uint64, err error) {
	first = wait / windowWaits * windowWaits
	if window = s.windows[first]; window != nil {
		return first, window, nil
	}
	for i, set := range s.sets {
		loaded := map[int64][]uint64{first: make([]uint64, windowWaits/64)}
		chunk := first / listChunk
		err := s.c.query(chunksOfSet, func(row *sqlite3.Stmt) error {
			addChunk(loaded, row)
			return nil
		}, s.project, set.name, set.status, chunk, chunk+windowChunks-1)
		if err != nil {
			return first, nil, err
		}
		if i == 0 {
			window = loaded[first]
		} else {
			intersect(window, loaded[first])
		}
	}
	if s.union != nil {
		intersect(window, s.union[first])
	}
	s.windows[first] = window
	return first, window, nil
}

// intersect removes from window what others does not have; nil has nothing.
func intersect(window, others []uint64) {
	if others == nil {
		clear(window)
		return
	}
	for i := range window {
		window[i] &= others[i]
	}
}
