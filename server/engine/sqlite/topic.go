package sqlite

// A topic is an event that long-polls wait for: a wait with the given id leaves waiting,
// the feed of a project grows, or a wait of a project is opened.
type topic struct {
	wait   int64 // its row
	feed   int64 // its project
	opened int64 // its project
}
