package wsproxy

import "sync"

// blockSize is what is read at a time, in either direction, and how much from
// a viewer may wait for its reader.
const blockSize = 64 << 10

// A block is memory that a session holds only while bytes are in it.
type block [blockSize]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

func getBlock() *block  { return blocks.Get().(*block) }
func putBlock(b *block) { blocks.Put(b) }
