package engine

import (
	"slices"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
)

// Differs returns the members of a request to open a wait that the wait of its key does not have
// so.
func Differs(request waits.OpenWaitRequest, wait waits.Wait) (members []waits.WaitDiffers) {
	add := func(differs bool, member waits.WaitDiffers) {
		if differs {
			members = append(members, member)
		}
	}
	add(wait.ExpiresAt.Sub(wait.CreatedAt) != time.Duration(request.TimeoutSeconds)*time.Second, waits.WaitDiffersTimeoutSeconds)
	add(!sameJSON(orNull(request.Input), orNull(wait.Input)), waits.WaitDiffersInput)
	add(!sameJSON(orNull(request.OutputSchema), orNull(wait.OutputSchema)), waits.WaitDiffersOutputSchema)
	add(request.Title != wait.Title, waits.WaitDiffersTitle)
	add(!slices.Equal(request.Tags, wait.Tags), waits.WaitDiffersTags)
	return members
}

// orNull returns JSON that is there.
func orNull(text []byte) []byte {
	if text == nil {
		return []byte("null")
	}
	return text
}
