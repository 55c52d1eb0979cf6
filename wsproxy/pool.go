package wsproxy

import "sync"

// Memory that sessions hold only while bytes are in it comes in two sizes.
const (
	// blockSize is what is read from a viewer at a time, and how much of it may
	// wait for its reader. A small frame to it fits, too.
	blockSize = 128 << 10

	// largeSize is for a frame of copyFrame bytes, or for its TLS records:
	// those are up to 85 bytes longer than what is in them, and the first of a
	// connection are short.
	largeSize = copyFrame + copyFrame/8 + 16<<10
)

var (
	blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}
	large  = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

// getMemory is a block if that has size bytes, else largeSize bytes. It isn't
// cleared.
func getMemory(size int) []byte {
	if size <= blockSize {
		return blocks.Get().(*[blockSize]byte)[:]
	}
	return large.Get().(*[largeSize]byte)[:]
}

// putMemory gives back what getMemory gave, uncut at its beginning. Nil is
// nothing.
func putMemory(b []byte) {
	switch cap(b) {
	case blockSize:
		blocks.Put((*[blockSize]byte)(b[:blockSize]))
	case largeSize:
		large.Put((*[largeSize]byte)(b[:largeSize]))
	}
}
