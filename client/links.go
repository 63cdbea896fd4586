package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// LinkOptions describe a link. The zero value is a link that can approve and reject, and that
// ends with the wait.
type LinkOptions struct {
	// To is whom the link is for, for the record: settled_by is then "link:" and this name.
	To string
	// Allow are the results that the link can settle the wait with. Default: both.
	Allow []callback.Result
	// Timeout is the time until the link ends, rounded up to seconds. Default: with the wait.
	Timeout time.Duration
}

// Link makes a link to a wait. The holder of its URL can see the wait and decide it, on a page or by
// sending a POST. The server cannot show the URL again.
func (w *Waits) Link(ctx context.Context, waitID string, options LinkOptions) (_ waits.CreatedLink, err error) {
	defer forWait(&err, "link", waitID)
	if err := checkSegment("wait id", waitID); err != nil {
		return waits.CreatedLink{}, fmt.Errorf("client: %w", err)
	}
	request := waits.CreateLinkRequest{To: options.To, Allow: options.Allow, ExpiresInSeconds: optional(seconds(options.Timeout))}
	return read[waits.CreatedLink](w.waits.CreateLink(ctx, w.projectID, waitID, request))(http.StatusCreated)
}

// Links returns the links to a wait that were not withdrawn, oldest first, without their URLs.
func (w *Waits) Links(ctx context.Context, waitID string) (_ []waits.Link, err error) {
	defer forWait(&err, "list links of", waitID)
	if err := checkSegment("wait id", waitID); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	list, err := read[waits.LinkList](w.waits.ListLinks(ctx, w.projectID, waitID))(http.StatusOK)
	return list.Links, err
}

// WithdrawLink withdraws a link: its URL opens nothing any more.
func (w *Waits) WithdrawLink(ctx context.Context, waitID, linkID string) (err error) {
	defer forWait(&err, "withdraw a link to", waitID)
	for what, id := range map[string]string{"wait id": waitID, "link id": linkID} {
		if err := checkSegment(what, id); err != nil {
			return fmt.Errorf("client: %w", err)
		}
	}
	_, err = read[struct{}](w.waits.WithdrawLink(ctx, w.projectID, waitID, linkID))(http.StatusNoContent)
	return err
}
