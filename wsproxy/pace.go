package wsproxy

import (
	"sync/atomic"
	"time"
)

// How much payload frames to the viewer have at most.
const (
	minFrame  = 64 << 10  // for any viewer
	copyFrame = 512 << 10 // for a quick one, if the payload goes through this process's memory
	maxFrame  = 1 << 20   // if it doesn't. noVNC's receive queue ends at 40 MiB, and one message must fit besides a rectangle
)

// A pace is how large frames to a viewer may be. Large ones cost less; but a
// page gets a message when all of it has arrived, and a ping waits for its turn.
// So a frame is as large as what the viewer takes within [quick] or so. The zero
// pace is that of a viewer that nothing is known of.
type pace struct{ more atomic.Int64 } // beyond minFrame

const (
	quick = 25 * time.Millisecond  // a frame that is taken in less may be followed by a larger one
	slow  = 100 * time.Millisecond // one that takes more is followed by a smaller one
)

// limit is how much the next frame may have, and no more than most.
func (p *pace) limit(most int) int { return min(minFrame+int(p.more.Load()), most) }

// took says that a frame of n bytes was written in d.
func (p *pace) took(n int, d time.Duration) {
	size := minFrame + int(p.more.Load())
	switch {
	case d > slow:
		size = max(size/2, minFrame)
	case d < quick && n >= size/2:
		size = min(size*2, maxFrame)
	}
	p.more.Store(int64(size - minFrame))
}
