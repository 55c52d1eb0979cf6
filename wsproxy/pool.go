package wsproxy

import "sync"

// Memory that sessions hold only while bytes are in it comes in two sizes.
const (
	// blockSize is what is read at a time, in either direction, and how much
	// from a viewer may wait for its reader.
	blockSize = 64 << 10

	// batchSize is for up to batchFrames frames of blockSize bytes, or their
	// TLS records: those are 22 bytes longer than what is in them, and the
	// first of a connection are short.
	batchSize = batchFrames*blockSize + 16<<10

	// batchFrames is how many frames are written at once at most, where that
	// saves system calls.
	batchFrames = 4
)

var (
	blocks  = sync.Pool{New: func() any { return new([blockSize]byte) }}
	batches = sync.Pool{New: func() any { return new([batchSize]byte) }}
)

// getMemory is a block if that has size bytes, else a batch. It isn't cleared.
func getMemory(size int) []byte {
	if size <= blockSize {
		return blocks.Get().(*[blockSize]byte)[:]
	}
	return batches.Get().(*[batchSize]byte)[:]
}

// putMemory gives back what getMemory gave, uncut at its beginning. Nil is
// nothing.
func putMemory(b []byte) {
	switch cap(b) {
	case blockSize:
		blocks.Put((*[blockSize]byte)(b[:blockSize]))
	case batchSize:
		batches.Put((*[batchSize]byte)(b[:batchSize]))
	}
}
