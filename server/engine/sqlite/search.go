package sqlite

import (
	"github.com/ncruces/go-sqlite3"
)

const (
	// windowChunks is the number of chunks of the sets that a search has in memory at once.
	windowChunks = 16
	windowWaits  = windowChunks * listChunk
)

const (
	chunksOfSet  = `SELECT chunk, waits FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk BETWEEN ? AND ?`
	nextChunk    = `SELECT min(chunk) FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk >= ?`
	lastChunk    = `SELECT max(chunk) FROM lists WHERE project = ? AND name = ? AND status = ? AND chunk <= ?`
	namesWithout = `SELECT min(name) FROM lists WHERE project = ? AND name > ? AND name < ?`
)

// A search finds the waits that are in several sets, as of the last fold.
type search struct {
	c       *conn
	project int64
	sets    []set
	union   []set // one of these must have the wait, if there are any

	first  int64 // of the window
	window []uint64
}

// A set names the rows of lists with its waits.
type set struct {
	name   string
	status status
}

// newSearch returns a search for the waits of a project with a filter and a status.
func (c *conn) newSearch(project int64, f filter, s status) (*search, error) {
	found := &search{c: c, project: project, first: -1}
	if s != anyStatus || len(f.names) == 0 {
		found.sets = append(found.sets, set{"", s})
	}
	for _, name := range f.names {
		found.sets = append(found.sets, set{name, anyStatus})
	}
	if f.prefix == "" {
		return found, nil
	}
	end := f.prefix + "\xff" // is in no text
	names := []string{f.prefix}
	for next := f.prefix; next != ""; {
		after := next
		next = ""
		err := c.query(namesWithout, func(row *sqlite3.Stmt) error {
			next = row.ColumnText(0)
			return nil
		}, project, after, end)
		if err != nil {
			return nil, err
		}
		if next != "" {
			names = append(names, next)
		}
	}
	for _, name := range names {
		found.union = append(found.union, set{name, anyStatus})
	}
	return found, nil
}

// walk calls found with the waits from one on, upwards or downwards, until it returns errStop.
func (s *search) walk(from int64, down bool, found func(wait int64) error) error {
	for {
		chunk, ok, err := s.nearest(max(0, from)/listChunk, down)
		if err != nil || !ok || from < 0 {
			return err
		}
		if start := chunk * listChunk; !down {
			from = max(from, start)
		} else {
			from = min(from, start+listChunk-1)
		}
		if err := s.load(from); err != nil {
			return err
		}
		end := s.first + windowWaits
		for !down && from < end || down && from >= s.first {
			i := from - s.first
			if word := s.window[i/64]; word == 0 { // nothing in 64 waits
				if down {
					from -= i%64 + 1
				} else {
					from += 64 - i%64
				}
				continue
			} else if word&(1<<(i%64)) != 0 {
				if err := found(from); err != nil {
					if err == errStop { //nolint:errorlint // it is never wrapped
						return nil
					}
					return err
				}
			}
			if down {
				from--
			} else {
				from++
			}
		}
	}
}

// has reports whether a wait is in the sets.
func (s *search) has(wait int64) (bool, error) {
	if err := s.load(wait); err != nil {
		return false, err
	}
	i := wait - s.first
	return s.window[i/64]&(1<<(i%64)) != 0, nil
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

// load makes the window the one with the given wait.
func (s *search) load(wait int64) error {
	first := wait / windowWaits * windowWaits
	if s.first == first {
		return nil
	}
	s.window, s.first = nil, first
	for _, set := range s.sets {
		loaded, err := s.read(set, nil)
		if err != nil {
			return err
		}
		s.intersect(loaded)
	}
	if len(s.union) == 0 {
		return nil
	}
	var union []uint64
	for _, set := range s.union {
		var err error
		if union, err = s.read(set, union); err != nil {
			return err
		}
	}
	s.intersect(union)
	return nil
}

func (s *search) intersect(loaded []uint64) {
	if s.window == nil {
		s.window = loaded
		return
	}
	for i := range s.window {
		s.window[i] &= loaded[i]
	}
}

// read adds the waits of a set in the window to into, which it makes if it is nil.
func (s *search) read(set set, into []uint64) ([]uint64, error) {
	if into == nil {
		into = make([]uint64, windowWaits/64)
	}
	chunk := s.first / listChunk
	err := s.c.query(chunksOfSet, func(row *sqlite3.Stmt) error {
		var data [listChunk / 8]byte
		unpackBits(data[:], row.ColumnRawBlob(1))
		words := into[(row.ColumnInt64(0)-chunk)*listChunk/64:]
		for i, b := range data {
			words[i/8] |= uint64(b) << (i % 8 * 8)
		}
		return nil
	}, s.project, set.name, set.status, chunk, chunk+windowChunks-1)
	return into, err
}
