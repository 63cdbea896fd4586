package temporal

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/flowcallback/flowcallback/server/engine"
)

// ids are what names a wait of a namespace.
type ids struct{ workflow, run, activity string }

// waitID returns the id of a wait: its three ids, each after its length, in base64. The engine stores
// nothing, so the id has all that is needed to find the wait.
func (i ids) waitID() string {
	var text []byte
	for _, id := range []string{i.workflow, i.run, i.activity} {
		text = binary.AppendUvarint(text, uint64(len(id)))
		text = append(text, id...)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseWaitID returns the ids in a wait id, or engine.ErrNotFound.
func parseWaitID(waitID string) (i ids, err error) {
	unknown := fmt.Errorf("wait %s: %w", waitID, engine.ErrNotFound)
	text, err := base64.RawURLEncoding.Strict().DecodeString(waitID)
	if err != nil {
		return i, unknown
	}
	for _, id := range []*string{&i.workflow, &i.run, &i.activity} {
		n, size := binary.Uvarint(text)
		if size <= 0 || n > uint64(len(text)-size) {
			return i, unknown
		}
		*id, text = string(text[size:size+int(n)]), text[size+int(n):] //nolint:gosec // at most the length of text
	}
	if len(text) > 0 || i.waitID() != waitID {
		return i, unknown
	}
	return i, nil
}
