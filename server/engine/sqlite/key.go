package sqlite

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/flowcallback/flowcallback/server/engine"
)

// digest is a key as it is stored and looked up: the SHA-256 of its ids, each with its
// length before it, so that no two keys run into each other. It keeps the index that every
// callback goes through small however long the ids are.
func digest(key engine.Key) []byte {
	ids := [...]string{key.ProjectID, key.WorkflowID, key.RunID, key.StateID}
	var buffer [256]byte
	text := buffer[:0]
	for _, id := range ids {
		text = binary.AppendUvarint(text, uint64(len(id)))
		text = append(text, id...)
	}
	sum := sha256.Sum256(text)
	return sum[:]
}
