package rfb

import (
	"encoding/binary"
	"fmt"
)

// A walker follows a server's stream from message to message, in the buffer it
// was read into, and takes out what a viewer isn't to see under ViewOnly. It
// remembers only where it is: it decodes no pixel, copies no payload and
// allocates nothing, whatever arrives and however it is cut.
type walker struct {
	agreed *agreed
	pixel  int // bytes of a pixel
	tpixel int // bytes of a pixel in Tight
	offset int64

	state state
	need  int      // bytes that state reads
	have  int      // bytes of them in head
	head  [16]byte // what was cut off by the end of a buffer
	skip  uint64   // bytes to pass over before state reads
	hide  bool     // the current message isn't for the viewer
	text  bool     // the bytes to pass over are a text for people

	rects  int  // rectangles left in the update, the current one included
	rect   Rect // the current one
	enc    Encoding
	tile   tileAt
	length uint32 // of Tight data, as far as it is read
	shift  uint8  // bits of length
	pixels uint64 // bytes of Tight data before compression
}

// A state is what the next bytes are.
type state uint8

const (
	atMessage     state = iota // a message's type
	inUpdate                   // FramebufferUpdate: padding, number of rectangles
	inColorMap                 // SetColorMapEntries: padding, first, number
	inCutText                  // ServerCutText: padding, length
	inQEMU                     // QEMU: type, operation
	inAudio                    // QEMU audio: length
	atRect                     // a rectangle's header
	inLength                   // Zlib, ZRLE: length
	inRRE                      // RRE, CoRRE: number of subrectangles
	inName                     // DesktopName: length
	inTile                     // Hextile: a tile's mask
	inSubrects                 // Hextile: colours, number of subrectangles
	inTight                    // Tight: control byte
	inTightFilter              // Tight: filter
	inPalette                  // Tight: number of colours less one
	inTightLength              // Tight: a byte of the length
)

// newWalker returns a walker at the start of a message. offset is how many
// bytes the server has sent before.
func newWalker(a *agreed, format PixelFormat, offset int64) *walker {
	return &walker{agreed: a, pixel: format.size(), tpixel: format.tightSize(), offset: offset, need: 1}
}

// walk follows p, the next bytes of the stream, and returns those of them that
// the viewer is to have: p itself, unless something had to be hidden, which
// the rest of p is moved over. An error is a *ProtocolError and final; nothing
// of p may be passed on then.
func (w *walker) walk(p []byte) ([]byte, error) {
	i, kept, shown := 0, 0, 0 // p[shown:i] is to be kept after p[:kept]
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
			if w.hide = serverRules[p[i]].verdict == dropped; w.hide && !hidden {
				kept += copy(p[kept:], p[shown:i])
			}
		case inTile:
			if w.have == 0 {
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
		if err := w.read(head); err != nil {
			return nil, &ProtocolError{FromServer, w.offset + int64(i), err}
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
		w.rects = int(binary.BigEndian.Uint16(b[1:])) + 1
		w.nextRect()
	case inColorMap:
		w.finish(6 * uint64(binary.BigEndian.Uint16(b[3:])))
	case inCutText:
		return w.cutText(int64(int32(binary.BigEndian.Uint32(b[3:]))))
	case inQEMU:
		return w.qemu(b[0], binary.BigEndian.Uint16(b[1:]))
	case inAudio:
		return w.bounded("QEMU audio", uint64(binary.BigEndian.Uint32(b)), maxAudio, w.finish)
	case atRect:
		return w.rectangle(parseRect(b), Encoding(binary.BigEndian.Uint32(b[8:])))
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
	r := serverRules[kind]
	switch r.verdict {
	case unknown:
		return fmt.Errorf("%w: %v has no known length", ErrMalformed, kind)
	case forbidden:
		return fmt.Errorf("%w: %v", ErrForbidden, kind)
	}
	rest := int(r.head) - 1
	switch kind {
	case ServerFramebufferUpdate:
		w.expect(inUpdate, rest)
	case ServerSetColorMapEntries:
		w.expect(inColorMap, rest)
	case ServerCutText:
		w.expect(inCutText, rest)
	case ServerQEMU:
		w.expect(inQEMU, rest)
	default:
		w.finish(uint64(rest))
	}
	return nil
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
