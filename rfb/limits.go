package rfb

import (
	"fmt"
	"time"

	"vda.internal/shadow/rfb/internal/proto"
)

// MaxSide is how many pixels a side of a framebuffer may have, which is TigerVNC's own limit: a source whose screen
// is larger is refused.
const MaxSide = 16384

// The other limits, all of them on what a peer may make this package do. None is an
// option: nobody needs a session beyond them.
const (
	handshakeTimeout = 10 * time.Second // a whole handshake
	stepTimeout      = 5 * time.Second  // one message of a handshake
	askTimeout       = 2 * time.Minute  // a person typing a server's password into a viewer
	messageTimeout   = 10 * time.Second // a viewer's message, from its first byte to its last, or to the next skipPart of it
	serverTimeout    = 10 * time.Second // the server taking a few requests
	viewerTimeout    = 30 * time.Second // the viewer taking one write; see below
	closeTimeout     = 2 * time.Second  // a connection's calls returning once its deadline has passed

	// viewerTimeout is for a whole write of up to serverBuffer bytes: 512 KiB in
	// 15 s would need 280 kbit/s of a viewer that is slow and well. A net.Conn
	// doesn't tell that it makes no progress meanwhile. Package wsproxy's does
	// know, and gives its viewers up after 15 s without any.

	maxReason   = proto.MaxReason
	maxName     = proto.MaxName // of a desktop name as received
	maxNameSent = 256           // bytes of a desktop name as sent to a viewer

	maxCursorSide    = 256      // pixels of a cursor's side
	maxSlack         = 64 << 10 // bytes a compressed rectangle may exceed its pixels by
	maxServerCutText = 64 << 20 // bytes of clipboard, skipped
	maxAudio         = 16 << 20 // bytes of QEMU audio, skipped
	maxClientCutText = 64 << 20 // bytes of clipboard, skipped: programs send what somebody has copied, however long
	skipPart         = 64 << 10 // bytes of a message that is skipped, each in messageTimeout

	maxFence  = 64              // bytes of a fence's payload, the community's own limit
	maxFences = 128             // fences of a server that wait for an answer; the relay answers beyond half of them
	fenceTime = 3 * time.Second // the viewer answering a fence; it is answered for then
	maxH264   = 16 << 20        // bytes of an H.264 rectangle
	maxJPEG   = 32 << 20        // bytes of a JPEG rectangle
	maxMany   = 16 << 20        // bytes of a rectangle of UltraVNC's that stands for many

	maxEncodingsIn  = 128 // encodings of a viewer's SetEncodings
	maxEncodingsOut = 24  // encodings of ours

	// serverBuffer is lent while so much comes, and only then. With 256 KiB a
	// busy session costs 15 to 19 % more CPU, in wake-ups of both neighbours.
	serverBuffer = 512 << 10 // bytes read from the server at a time
	serverPart   = 64 << 10  // and while less comes
	viewerBuffer = 4 << 10   // bytes read from the viewer at a time
)

// What a viewer may ask for in a time. All but the last delay, none loses.
var (
	messageRate   = rate{per: time.Second, n: 200} // messages that aren't dropped; read more slowly beyond
	fullRate      = rate{per: time.Second, n: 2}   // non-incremental requests; coalesced beyond
	encodingsRate = rate{per: time.Minute, n: 10}  // SetEncodings; the latest counts beyond
	formatsRate   = rate{per: time.Minute, n: 30}  // SetPixelFormat; the latest counts beyond, and requests wait for it
	// Messages dropped; refused beyond. A person who moves the mouse in a noVNC
	// that isn't told to be view-only sends as many a second as the screen or the
	// mouse has, up to 1000, for as long as he likes, and has done nothing wrong.
	// They don't count as messages of any kind: the requests behind them mustn't
	// wait for them.
	dropRate = rate{per: time.Minute, n: 60_000}
)

// checkSize returns an error that wraps ErrLimit unless a framebuffer may have
// this size.
func checkSize(width, height uint16) error {
	if width == 0 || height == 0 || width > MaxSide || height > MaxSide {
		return fmt.Errorf("%w: framebuffer of %d x %d", ErrLimit, width, height)
	}
	return nil
}

// A rate is n events in a time.
type rate struct {
	per time.Duration
	n   int
}

// A bucket lets events through at a rate and, after a quiet time, all of a
// rate's events at once. Its owner tells it the time, as what has passed since a
// moment of the owner's.
type bucket struct {
	rate rate
	cost time.Duration // that one event uses up
	full time.Duration // when it will be full again, if nothing happens
}

func newBucket(r rate) bucket { return bucket{rate: r, cost: r.per / time.Duration(r.n)} }

// next is when the next event may happen; a past time means now.
func (b *bucket) next() time.Duration { return b.full + b.cost - b.rate.per }

// take reports whether an event may happen now, and counts it if so.
func (b *bucket) take(now time.Duration) bool {
	if now < b.next() {
		return false
	}
	b.full = max(b.full, now) + b.cost
	return true
}
