package store

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/flowcallback/flowcallback/server/engine"
)

// Digest returns the form of a key in a store: the SHA-256 of its ids, each after its
// length, so that different keys have different digests. It keeps the index small, however
// long the ids are; every callback reads that index.
func Digest(key engine.Key) []byte {
	ids := [...]string{key.ProjectID, key.WorkflowID, string(key.RunID), string(key.StateID)}
	var buffer [256]byte
	text := buffer[:0]
	for _, id := range ids {
		text = binary.AppendUvarint(text, uint64(len(id)))
		text = append(text, id...)
	}
	sum := sha256.Sum256(text)
	return sum[:]
}
