package sqlite

import "github.com/flowcallback/flowcallback/gen/waits"

// status is the stored form of waits.Status.
type status int

// The values are in files: never change them.
const (
	anyStatus status = iota // of a list
	waiting
	success
	fail
	expired
	cancelled
)

var statusNames = [...]waits.Status{waiting: waits.Waiting, success: waits.Success, fail: waits.Fail, expired: waits.Expired, cancelled: waits.Cancelled}

func (s status) name() waits.Status { return statusNames[s] }

// statusOf returns the stored form of a status; of an unknown one, anyStatus.
func statusOf(name waits.Status) status {
	for s, n := range statusNames {
		if n == name {
			return status(s)
		}
	}
	return anyStatus
}
