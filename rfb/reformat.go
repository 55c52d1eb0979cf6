package rfb

import (
	"fmt"
	"slices"
	"time"
)

const (
	silence    = 300 * time.Millisecond // of a server that then has read what it was sent, and has nothing to say
	noSilence  = 3 * time.Second        // of one that goes on about other things than pixels: long enough
	probeTime  = 2 * time.Second        // a server sending one pixel; it is asked again then
	probeTries = 5                      // how often; the format is changed then all the same
)

// A reformat is a viewer's wish for another pixel format, until the server has
// been told; see [turn].
type reformat struct {
	format PixelFormat   // that the server was told last
	wanted PixelFormat   // that the viewer wants
	exact  bool          // wanted leaves no doubt about the length of Tight's pixels
	phase  phase         // what it waits for
	begun  time.Duration // when it began to wait
	since  time.Duration // when it last looked or asked
	heard  uint32        // of the server by then
	tries  int           // of the current probe
	asked  int           // probes in all
	serial byte          // of the last fence

	later   Rect // incremental requests that wait; empty: none
	watched Rect // all that was ever requested
	signs   int  // which pixel was the last sign of life
	shaped  bool // Cursor was asked for, whose rectangles servers may send unasked
	flowing bool // continuous updates were asked for
}

// A phase is what a change of the format waits for.
type phase uint8

const (
	settled  phase = iota // nothing
	queued                // its turn: too many changes, or a fence
	quieting              // what was requested to be answered
	probing               // the first pixel
	again                 // the second
)

// holds reports whether requests wait for a change of the format.
func (f *clientFilter) holds() bool { return f.re.phase != settled }

// setPixelFormat has the server use the format that the viewer wants, as soon as
// it is clear from which update on it will.
func (f *clientFilter) setPixelFormat(now time.Duration) error {
	var m SetPixelFormat
	if err := ReadMessage(f.head[:f.have], &m); err != nil {
		return err
	}
	format, err := m.Format.served()
	if err != nil { // what the viewer wants isn't told in full: it may be keys that it typed
		return err
	}
	f.re.wanted, f.re.exact = format, m.Format.exact()
	if f.re.phase == settled {
		f.re.phase = queued
	}
	f.agreed.turn.awaited.Store(true) // before anything is looked at that may change
	f.reformat(now)
	f.done()
	return nil
}

// reformat goes on with a change of the format, if it can.
func (f *clientFilter) reformat(now time.Duration) {
	re, t := &f.re, &f.agreed.turn
	switch re.phase {
	case settled:
		return
	case queued:
		f.begin(now)
	case quieting:
		switch {
		case !re.shaped && !re.flowing && t.quiet():
			f.tell(nil)
			f.resume()
		case now >= re.begun+noSilence, now >= re.since+silence && !t.busy.Load() && t.heard.Load() == re.heard:
			f.ask(now, probing)
		case now >= re.since+silence:
			f.wait(now, quieting)
		}
	case probing, again:
		switch {
		case t.answered() && re.phase == probing:
			f.ask(now, again)
		case t.answered(), now >= re.since+probeTime && re.tries == probeTries:
			f.probed()
		case now >= re.since+probeTime:
			f.ask(now, re.phase)
		}
	}
}

// begin begins a change in the way that suits the server.
func (f *clientFilter) begin(now time.Duration) {
	re, t := &f.re, &f.agreed.turn
	switch {
	case t.fencing(): // one after the other
	case re.wanted == re.format && re.exact == f.exact:
		re.phase = settled
		t.awaited.Store(false)
	case !f.formats.take(now): // the latest counts
	case re.wanted.framing() == re.format.framing(), !re.shaped && !re.flowing && t.quiet():
		f.tell(nil)
		f.resume()
	case f.agreed.knows(hasFences) && slices.Contains(f.sent, EncodingFence):
		re.serial++
		f.tell([]byte{'f', 'o', 'r', 'm', 'a', 't', re.serial})
		f.resume()
	default:
		re.begun = now
		f.wait(now, quieting)
	}
}

// due is when reformat must be called again though nothing happened.
func (f *clientFilter) due() (time.Duration, bool) {
	switch re := &f.re; re.phase {
	case queued:
		return f.formats.next(), !f.agreed.turn.fencing()
	case quieting:
		return re.since + silence, true
	case probing, again:
		return re.since + probeTime, true
	}
	return 0, false
}

// wait begins to wait.
func (f *clientFilter) wait(now time.Duration, p phase) {
	f.re.phase, f.re.since, f.re.heard = p, now, f.agreed.turn.heard.Load()
}

// ask asks for one pixel. With the first question the server is told to use Raw
// and to leave the pointer's picture out: the answers are taken out of what the
// viewer sees, which must take nothing from the streams of compressed encodings.
func (f *clientFilter) ask(now time.Duration, p phase) {
	width, height := f.agreed.framebuffer()
	if f.re.tries++; f.re.phase != p {
		f.re.tries = 1
		if p == probing {
			f.re.asked = 0
			plain := slices.DeleteFunc(slices.Clone(f.sent), func(e Encoding) bool {
				return e.picture() || e == EncodingCursor || e == EncodingXCursor || e == EncodingLastRect
			})
			f.out, _ = AppendMessage(f.out, &SetEncodings{append(plain, EncodingRaw)})
		}
	}
	f.wait(now, p)
	at := func(side uint16) uint16 { return uint16(int(side-1) * f.re.asked / (2*probeTries - 1)) }
	pixel := Rect{at(width), at(height), 1, 1}
	f.re.asked++
	f.agreed.turn.ask(pixel)
	f.sendRequest(FramebufferUpdateRequest{Rect: pixel})
}

// probed ends probing: nothing is under way. The server is told the format, to
// use what encodings the viewer wants, and to send what it had to leave out.
func (f *clientFilter) probed() {
	f.agreed.turn.settle()
	f.tell(nil)
	f.relist(f.re.exact) // after the format, for Cursor may come at once
	f.re.shaped = slices.Contains(f.sent, EncodingCursor)
	f.re.later = f.re.later.union(f.re.watched)
	f.resume()
}

// tell tells the server the format, at the place that a fence marks if there is
// one.
func (f *clientFilter) tell(fence []byte) {
	re := &f.re
	probed := re.phase == again || re.phase == probing
	if !re.exact && f.exact && !probed {
		f.relist(false)
	}
	if !re.wanted.TrueColor {
		f.agreed.learn(askedColorMap)
	}
	f.agreed.turn.set(re.wanted, fence)
	if fence != nil {
		m := Fence{Flags: FenceRequest | FenceBlockBefore | FenceBlockAfter | FenceSyncNext, Payload: fence}
		f.out, _ = AppendMessage(f.out, &m)
	}
	f.out, _ = AppendMessage(f.out, &SetPixelFormat{re.wanted})
	re.format = re.wanted
	if re.exact && !f.exact && !probed {
		f.relist(true)
	}
}

// resume sends what has waited for a change of the format.
func (f *clientFilter) resume() {
	f.re.phase = settled
	f.agreed.turn.awaited.Store(false)
	f.sendLater()
}

// sendLater sends the incremental requests that wait, as one.
func (f *clientFilter) sendLater() {
	width, height := f.agreed.framebuffer()
	if r := f.re.later.clamp(width, height); !r.Empty() {
		f.sendRequest(FramebufferUpdateRequest{true, r})
	}
	f.re.later = Rect{}
}

// relist tells the server the viewer's encodings once more, with or without
// those whose length the format leaves in doubt.
func (f *clientFilter) relist(exact bool) {
	if f.exact = exact; len(f.wants) == 0 {
		return
	}
	f.reduce(exact)
	f.sendEncodings()
}

// sendRequest sends a request for an update.
func (f *clientFilter) sendRequest(m FramebufferUpdateRequest) {
	f.agreed.turn.requested()
	f.out, _ = AppendMessage(f.out, &m)
}

// served is the format as servers are told it: with nothing in it that means
// nothing. The error wraps ErrMalformed; it tells none of the numbers, which may
// be something that was typed. What is left RFC 6143 §7.4 allows, and servers
// agree on.
func (f PixelFormat) served() (PixelFormat, error) {
	if err := f.Check(); err != nil {
		return f, err
	}
	switch {
	case f.Depth > f.BitsPerPixel:
		return f, fmt.Errorf("%w: pixels of a depth beyond their bits", ErrMalformed)
	case !f.TrueColor && f.BitsPerPixel != 8:
		return f, fmt.Errorf("%w: a colour map with pixels of %d bits, 8 are possible", ErrMalformed, f.BitsPerPixel)
	case !f.TrueColor:
		return PixelFormat{BitsPerPixel: 8, Depth: 8}, nil
	}
	var used uint64
	total := 0
	for _, c := range []struct {
		max   uint16
		shift uint8
	}{{f.RedMax, f.RedShift}, {f.GreenMax, f.GreenShift}, {f.BlueMax, f.BlueShift}} {
		if c.max == 0 || c.max&(c.max+1) != 0 {
			return f, fmt.Errorf("%w: a colour whose maximum isn't one less than a power of two", ErrMalformed)
		}
		if c.shift >= 32 || uint64(c.max)<<c.shift >= 1<<f.BitsPerPixel {
			return f, fmt.Errorf("%w: a colour beyond the bits of its pixel", ErrMalformed)
		}
		bits := uint64(c.max) << c.shift
		if used&bits != 0 {
			return f, fmt.Errorf("%w: colours that share bits of a pixel", ErrMalformed)
		}
		used |= bits
		for ; c.max > 0; c.max >>= 1 {
			total++
		}
	}
	f.BigEndian = f.BigEndian && f.BitsPerPixel > 8
	f.Depth = max(f.Depth, uint8(total))
	return f, nil
}

// exact reports whether all servers agree on the length of a TPIXEL. With three
// times eight bits in 32 those that look at the depth (libvncserver, TigerVNC)
// and those that don't (QEMU) differ, and a colour that isn't a byte of the
// pixel can't be left out.
func (f PixelFormat) exact() bool {
	if !f.TrueColor || f.BitsPerPixel != 32 || f.RedMax != 255 || f.GreenMax != 255 || f.BlueMax != 255 {
		return true
	}
	return f.Depth == 24 && (f.RedShift|f.GreenShift|f.BlueShift)%8 == 0
}

// framing is the length of pixels.
func (f PixelFormat) framing() format { return format{f.size(), f.tightSize(), f.runSize()} }
