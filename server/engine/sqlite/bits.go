package sqlite

import (
	"encoding/binary"
	"math/bits"
)

const (
	endedChunk = 512  // waits in a row of ended
	listChunk  = 4096 // waits in a row of lists
	seqSize    = 6    // bytes of a position in ended
)

// packBits returns the stored form of bits: a few are stored as their numbers, two bytes each, the
// most significant first, because a list may have few waits in a row.
func packBits(data []byte) []byte {
	const few = 64
	var numbers []byte
	for i := 0; i < len(data); i += 8 {
		for word := binary.LittleEndian.Uint64(data[i:]); word != 0; word &= word - 1 {
			if len(numbers) == 2*few {
				return data
			}
			n := i*8 + bits.TrailingZeros64(word)
			numbers = append(numbers, byte(n>>8), byte(n))
		}
	}
	return numbers
}

// unpackBits sets the bits of a stored form.
func unpackBits(data, stored []byte) {
	if len(stored) == len(data) {
		copy(data, stored)
		return
	}
	for i := 0; i+1 < len(stored); i += 2 {
		n := int(stored[i])<<8 | int(stored[i+1])
		data[n/8] |= 1 << (n % 8)
	}
}

func isZero(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}

// putSeq writes a position in seqSize bytes, the most significant first.
func putSeq(data []byte, seq int64) {
	for i := range seqSize {
		data[i] = byte(seq >> (8 * (seqSize - 1 - i)))
	}
}

// seqFrom reads what putSeq has written; 0 if there is nothing.
func seqFrom(data []byte) (seq int64) {
	for _, b := range data {
		seq = seq<<8 | int64(b)
	}
	return seq
}
