package store

import "github.com/flowcallback/flowcallback/gen/waits"

// Status is the stored form of waits.Status.
type Status int

// The values are in stores: never change them.
const (
	AnyStatus Status = iota // of a list
	Waiting
	Success
	Fail
	Expired
	Cancelled
)

var statusNames = [...]waits.Status{Waiting: waits.Waiting, Success: waits.Success, Fail: waits.Fail, Expired: waits.Expired, Cancelled: waits.Cancelled}

// Name returns the status in the form of the contract.
func (s Status) Name() waits.Status { return statusNames[s] }

// StatusOf returns the stored form of a status; of an unknown one, AnyStatus.
func StatusOf(name waits.Status) Status {
	for s, n := range statusNames {
		if n == name {
			return Status(s)
		}
	}
	return AnyStatus
}
