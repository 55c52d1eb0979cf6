package rfb

import (
	"fmt"
	"slices"
	"time"
)

// A walker follows a server's stream from message to message, in the buffer it
// was read into, and takes out what a viewer isn't to see. It
// remembers only where it is: it decodes no pixel, copies no payload and
// allocates nothing, whatever arrives and however it is cut.
type walker struct {
	agreed  *agreed
	inspect bool // everything that can be framed passes
	pixel   int  // bytes of a pixel
	tpixel  int  // bytes of a pixel in Tight
	cpixel  int  // bytes of a pixel in TRLE
	offset  int64

	state state
	need  int                 // bytes that state reads
	have  int                 // bytes of them in head
	head  [12 + maxFence]byte // what was cut off by the end of a buffer
	skip  uint64              // bytes to pass over before state reads
	hide  bool                // the current message isn't for the viewer
	doubt bool                // but may be after all: it is hidden until that is known
	undo  bool                // it is
	start int                 // where it begins in the buffer; negative: in an earlier one
	held  []byte              // it, as far as it is read
	kept  [rectangleHeadLen + 4]byte
	late  []byte // of what was held, before what walk returns
	text  bool   // the bytes to pass over are a text for people

	probes  []Rect // pixels that the relay has asked for, by the update's beginning
	counted bool   // the update has pixels
	rects   int    // rectangles left in the update, the current one included
	rect    Rect   // the current one
	enc     Encoding
	tile    tileAt
	runs    runs       // of a TRLE tile
	outer   format     // of pixels after a CursorWithAlpha, which has its own
	length  uint32     // of Tight data, as far as it is read
	shift   uint8      // bits of length; in JPEG the marker of the segment
	plain   bool       // Tight data isn't compressed, whatever its length
	flags   FenceFlags // of the current fence
	pixels  uint64     // bytes of Tight data before compression
}

// A state is what the next bytes are.
type state uint8

const (
	atMessage      state = iota // a message's type
	inUpdate                    // FramebufferUpdate: padding, number of rectangles
	inColorMap                  // SetColorMapEntries: padding, first, number
	inCutText                   // ServerCutText: padding, length
	inQEMU                      // QEMU: type, operation
	inAudio                     // QEMU audio: length
	inFence                     // fence: flags, length
	inFencePayload              // fence: payload
	atRect                      // a rectangle's header
	inLength                    // Zlib, ZRLE: length
	inRRE                       // RRE, CoRRE: number of subrectangles
	inName                      // DesktopName: length
	inTile                      // Hextile: a tile's mask
	inSubrects                  // Hextile: colours, number of subrectangles
	inTight                     // Tight: control byte
	inTightFilter               // Tight: filter
	inPalette                   // Tight: number of colours less one
	inTightLength               // Tight: a byte of the length
	inPackedTile                // ZlibHex: a tile's length
	inRuns                      // TRLE: a tile's kind
	inRunPixel                  // TRLE: a run's pixel
	inRunIndex                  // TRLE: a run's index
	inRunLength                 // TRLE: a byte of a run's length
	inMarker                    // JPEG: a marker
	inSegment                   // JPEG: a segment's length
	inScan                      // JPEG: compressed data
	inScanMarker                // JPEG: after FF in compressed data
	inH264                      // H.264: length, flags
	inScreens                   // ExtendedDesktopSize: number of screens
	inAlpha                     // CursorWithAlpha: encoding
	inVMwareCursor              // VMwareCursor: kind
	inDisplayMode               // VMwareDisplayMode: pixel format
	inCodecs                    // Replit audio: version, number
)

// A format is how many bytes pixels have.
type format struct{ pixel, tpixel, cpixel int }

// newWalker returns a walker at the start of a message. offset is how many
// bytes the server has sent before.
func newWalker(a *agreed, f PixelFormat, offset int64) *walker {
	w := &walker{agreed: a, offset: offset, need: 1}
	w.setFormat(f)
	return w
}

// newInspector returns a walker that lets everything pass that can be framed.
func newInspector(a *agreed, f PixelFormat) *walker {
	a.allow(^encodingSet(0))
	w := newWalker(a, f, 0)
	w.inspect = true
	return w
}

func (w *walker) setFormat(f PixelFormat) {
	w.pixel, w.tpixel, w.cpixel = f.size(), f.tightSize(), f.runSize()
}

// between reports whether w stands between two messages.
func (w *walker) between() bool { return w.state == atMessage && w.skip == 0 }

// verdict is what becomes of a server's message.
func (w *walker) verdict(kind ServerMessageType) verdict {
	if w.inspect {
		if serverMessages[kind].head == 0 {
			return unknown
		}
		return passes
	}
	v := serverMessages[kind].verdict
	if v != agreedTo {
		return v
	}
	switch {
	case kind == ServerSetColorMapEntries && w.agreed.knows(askedColorMap):
		return passes
	case kind == ServerFence || kind == ServerEndOfContinuousUpdates:
		if w.agreed.knows(askedFences) {
			return passes
		}
		return forbidden
	}
	return dropped
}

// walk follows p, the next bytes of the stream, and returns those of them that
// the viewer is to have: p itself, unless something had to be hidden, which
// the rest of p is moved over. What w held back of an earlier p is in late, and
// comes before them. An error is a *ProtocolError and final; nothing
// of p may be passed on then.
func (w *walker) walk(p []byte) ([]byte, error) {
	i, kept, shown := 0, 0, 0 // p[shown:i] is to be kept after p[:kept]
	w.start = -1
	for i < len(p) {
		if w.skip > 0 {
			n := int(min(w.skip, uint64(len(p)-i)))
			if w.text {
				cleanASCII(p[i : i+n])
			}
			i += n
			w.skip -= uint64(n)
			continue
		}
		w.text = false
		switch w.state {
		case atMessage:
			hidden := w.hide
			if hidden {
				shown = i
			}
			kind := ServerMessageType(p[i])
			w.hide = w.verdict(kind) == dropped
			if w.doubt = !w.hide && w.doubts(kind); w.doubt {
				w.hide, w.start, w.held = true, i, w.kept[:0]
			}
			if w.hide && !hidden {
				kept += copy(p[kept:], p[shown:i])
			}
		case atRect:
			if w.have == 0 && !w.doubt {
				if w.enc == EncodingTight && w.counted && w.probes == nil {
					i += w.fills(p[i:])
				}
				if len(p)-i >= rectangleHeadLen { // the same as read, sooner
					head := p[i : i+rectangleHeadLen]
					i += rectangleHeadLen
					if err := w.rectangle(parseRect(head), Encoding(be32(head[8:]))); err != nil {
						return nil, &ProtocolError{FromServer, w.offset + int64(i), err}
					}
					continue
				}
			}
		case inScan:
			n, err := w.scan(p[i:])
			if i += n; err != nil {
				return nil, &ProtocolError{FromServer, w.offset + int64(i), err}
			}
			continue
		case inTile:
			if w.have == 0 && w.enc == EncodingHextile {
				if i += w.tiles(p[i:]); w.state != inTile || i == len(p) {
					continue
				}
			}
		}
		var head []byte
		if w.have == 0 && len(p)-i >= w.need {
			head = p[i : i+w.need]
			i += w.need
		} else {
			n := copy(w.head[w.have:w.need], p[i:])
			i += n
			if w.have += n; w.have < w.need {
				break
			}
			head, w.have = w.head[:w.need], 0
		}
		if w.doubt {
			w.held = append(w.held, head...)
		}
		if err := w.read(head); err != nil {
			return nil, &ProtocolError{FromServer, w.offset + int64(i), err}
		}
		if w.undo {
			w.undo, w.hide = false, false
			if shown = w.start; shown < 0 {
				shown, w.late = i, append(w.late[:0], w.held...)
			}
		}
	}
	w.offset += int64(len(p))
	if w.hide {
		return p[:kept], nil
	}
	if shown > kept {
		kept += copy(p[kept:], p[shown:])
		return p[:kept], nil
	}
	return p, nil
}

// read takes the bytes that the state asked for and sets the next.
func (w *walker) read(b []byte) error {
	switch w.state {
	case atMessage:
		return w.message(ServerMessageType(b[0]))
	case inUpdate:
		w.rects = int(be16(b[1:])) + 1
		if w.doubt && (w.rects != 1+1) {
			w.clear(true)
		}
		w.nextRect()
	case inColorMap:
		w.finish(6 * uint64(be16(b[3:])))
	case inCutText:
		return w.cutText(int64(int32(be32(b[3:]))))
	case inQEMU:
		return w.qemu(b[0], be16(b[1:]))
	case inAudio:
		return w.bounded("QEMU audio", uint64(be32(b)), maxAudio, w.finish)
	case inFence, inFencePayload:
		return w.fence(b)
	case atRect:
		return w.rectangle(parseRect(b), Encoding(be32(b[8:])))
	default:
		return w.body(b)
	}
	return nil
}

// expect sets the next state and how many bytes it reads.
func (w *walker) expect(s state, need int) { w.state, w.need = s, need }

// finish ends the message after n more bytes.
func (w *walker) finish(n uint64) {
	w.skip = n
	w.expect(atMessage, 1)
}

// bounded calls then with n unless it exceeds limit.
func (w *walker) bounded(what string, n, limit uint64, then func(uint64)) error {
	if n > limit {
		return fmt.Errorf("%w: %s of %d bytes, at most %d", ErrLimit, what, n, limit)
	}
	then(n)
	return nil
}

func (w *walker) message(kind ServerMessageType) error {
	switch w.verdict(kind) {
	case unknown:
		return fmt.Errorf("%w: %v has no known length", ErrMalformed, kind)
	case forbidden:
		return fmt.Errorf("%w: %v", ErrForbidden, kind)
	}
	if kind == ServerFramebufferUpdate && !w.inspect {
		w.begin()
	}
	rest := int(serverMessages[kind].head) - 1
	if s := headStates[kind]; s != atMessage {
		w.expect(s, rest)
		return nil
	}
	if kind == ServerEndOfContinuousUpdates {
		w.agreed.learn(hasUpdates)
	}
	w.finish(uint64(rest))
	return nil
}

// headStates are what reads the heads of messages that aren't all head.
var headStates = [256]state{
	ServerFramebufferUpdate:  inUpdate,
	ServerSetColorMapEntries: inColorMap,
	ServerCutText:            inCutText,
	ServerFence:              inFence,
	ServerQEMU:               inQEMU,
}

// fence notes a fence that the viewer is to answer. Answers to fences of the
// viewer's can't come: none is passed on.
func (w *walker) fence(b []byte) error {
	if w.state == inFence {
		n := int(b[len(b)-1])
		if n > maxFence {
			return fmt.Errorf("%w: fence of %d bytes, at most %d", ErrLimit, n, maxFence)
		}
		switch {
		case w.inspect:
		case FenceFlags(be32(b[3:]))&FenceRequest != 0:
			w.agreed.learn(hasFences)
			w.clear(true)
		case !w.doubt || n == 0:
			return errNoFence
		}
		if w.flags = FenceFlags(be32(b[3:])); n > 0 {
			w.expect(inFencePayload, n)
			return nil
		}
		b = nil
	}
	if w.doubt {
		return w.fenced(b)
	}
	if !w.inspect && !w.agreed.fences.add(w.flags, b, time.Now()) {
		return fmt.Errorf("%w: %d fences at once", ErrLimit, maxFences)
	}
	w.finish(0)
	return nil
}

var errNoFence = fmt.Errorf("%w: answer to a fence that wasn't sent", ErrMalformed)

// fenced takes the answer to a fence of the relay's own, from which on a format
// holds. The viewer doesn't see it.
func (w *walker) fenced(payload []byte) error {
	f, ok := w.agreed.turn.fenced(payload)
	if !ok {
		return errNoFence
	}
	w.setFormat(f)
	w.clear(false)
	w.finish(0)
	return nil
}

// doubts reports whether a message may be one that the viewer isn't to see,
// because the relay has asked for it.
func (w *walker) doubts(kind ServerMessageType) bool {
	if w.inspect || kind != ServerFramebufferUpdate && kind != ServerFence {
		return false
	}
	fence, pixels := w.agreed.turn.outstanding()
	return fence && kind == ServerFence || pixels && kind == ServerFramebufferUpdate
}

// clear ends a doubt about the current message.
func (w *walker) clear(show bool) {
	w.undo = w.doubt && show
	w.doubt = false
}

// begin begins an update. A new format may hold from here on.
func (w *walker) begin() {
	var f *PixelFormat
	if f, w.probes = w.agreed.turn.begins(); f != nil {
		w.setFormat(*f)
	}
	w.counted = false
}

// pixelsAt notes that an update has pixels at r.
func (w *walker) pixelsAt(r Rect) {
	if !w.counted {
		w.counted = true
		w.agreed.turn.came()
	}
	if w.doubt { // the update has nothing else
		raw := w.enc == EncodingRaw
		sign := w.agreed.turn.lives(r, raw)
		w.clear(!raw || !sign && !slices.Contains(w.probes, r))
	}
	if n := len(w.probes); n > 0 {
		if p := w.probes[n-1]; r.X <= p.X && p.X-r.X < r.Width && r.Y <= p.Y && p.Y-r.Y < r.Height {
			w.agreed.turn.found(p)
		}
	}
}

// cutText passes over a clipboard. A negative length is that of the extended
// clipboard.
func (w *walker) cutText(n int64) error {
	if n < 0 {
		n = -n
	}
	return w.bounded("clipboard", uint64(n), maxServerCutText, w.finish)
}

func (w *walker) qemu(sub byte, op uint16) error {
	switch {
	case sub == 1 && op <= 1: // audio ends, begins
		w.finish(0)
	case sub == 1 && op == 2: // audio data
		w.expect(inAudio, 4)
	default:
		return fmt.Errorf("%w: QEMU message %d, operation %d", ErrMalformed, sub, op)
	}
	return nil
}
