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

// A batch is memory for up to [batchFrames] frames, or their TLS records.
type batch [batchFrames*(maxHeader+maxPayload) + 16<<10]byte

// batchFrames is how many frames are written at once at most, where that
// saves system calls.
const batchFrames = 4

var batches = sync.Pool{New: func() any { return new(batch) }}

func getBatch() *batch  { return batches.Get().(*batch) }
func putBatch(b *batch) { batches.Put(b) }
