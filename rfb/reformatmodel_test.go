package rfb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A model is a server, and the queues between it, a relay's two halves and a
// viewer. It reads a message when it likes, and composes an update in the format
// of that moment when something was requested.
type model struct {
	t       *testing.T
	r       *rand.Rand
	fenced  bool   // knows fences and continuous updates
	clips   bool   // sends what was requested; else whatever has changed
	worker  bool   // sends an update after it has read further messages, as QEMU's worker does
	side    uint16 // of its screen
	overlay bool   // and changes there that nobody requested, as libvncserver does where the pointer was

	now    time.Time
	over   bool // the viewer asks for nothing more
	filter *clientFilter
	walker *walker

	inbox, outbox []byte
	format        PixelFormat
	encodings     []Encoding
	requested     []Rect
	dirty         []Rect
	continuous    bool
	sync          []byte // payload of a fence whose answer comes after the next message
	job           []byte // composed and not sent

	composed [][]byte // messages
	shown    []byte
	updates  map[PixelFormat]int
}

func newModel(t *testing.T, source rand.Source, side int) *model {
	r := rand.New(source)
	m := &model{t: t, r: r, side: uint16(side), now: epoch, format: pinned, updates: make(map[PixelFormat]int),
		fenced: r.IntN(3) == 0, clips: r.IntN(3) > 0, worker: r.IntN(3) == 0, overlay: r.IntN(3) == 0}
	m.worker = m.worker && !m.fenced // none that is known has both
	a := newAgreed(m.side, m.side)
	m.filter = newClientFilter(a, false, nil, 0)
	m.walker = newWalker(a, pinned, 0)
	m.encodings = []Encoding{EncodingRaw}
	return m
}

// viewer gives the filter what a viewer says.
func (m *model) viewer(messages ...Message) {
	for _, msg := range messages {
		b := wire(m.t, msg)
		for len(b) > 0 {
			n, err := m.filter.feed(m.now, b)
			require.NoError(m.t, err)
			if b = b[n:]; len(b) > 0 {
				m.now = m.now.Add(5 * time.Millisecond)
			}
		}
	}
	m.carry()
}

func (m *model) carry() {
	m.inbox = append(m.inbox, m.filter.out...)
	m.filter.out = m.filter.out[:0]
}

// pass lets time pass.
func (m *model) pass(d time.Duration) {
	m.now = m.now.Add(d)
	_, err := m.filter.feed(m.now, nil)
	require.NoError(m.t, err)
	m.carry()
}

func (m *model) say(b []byte) {
	m.composed = append(m.composed, b)
	m.outbox = append(m.outbox, b...)
}

// read reads one message.
func (m *model) read() {
	if len(m.inbox) == 0 {
		return
	}
	msg, n, err := ParseClientMessage(m.inbox)
	require.NoError(m.t, err)
	m.inbox = m.inbox[n:]
	sync := m.sync
	switch msg := msg.(type) {
	case *SetPixelFormat:
		m.format = msg.Format
		if !m.format.TrueColor {
			m.say(wire(m.t, SetColorMapEntries{First: 0, Colors: make([]Color, 256)}))
		}
	case *SetEncodings:
		m.encodings = msg.Encodings
		if m.fenced && slices.Contains(m.encodings, EncodingFence) && !m.filter.agreed.knows(hasFences) {
			m.say(wire(m.t, EndOfContinuousUpdates{}))
			m.say(wire(m.t, Fence{FenceRequest, []byte{1}}))
		}
	case *FramebufferUpdateRequest:
		m.requested = append(m.requested, msg.Rect)
		if !msg.Incremental {
			m.dirty = append(m.dirty, msg.Rect)
		}
	case *EnableContinuousUpdates:
		if m.continuous = msg.Enable; !msg.Enable {
			m.say(wire(m.t, EndOfContinuousUpdates{}))
		}
	case *Fence:
		if msg.Flags&FenceRequest != 0 {
			if msg.Flags&FenceSyncNext != 0 {
				m.sync = msg.Payload
			} else {
				m.say(wire(m.t, Fence{msg.Flags &^ FenceRequest, msg.Payload}))
			}
		}
	default:
		require.Fail(m.t, "unexpected", "%T", msg)
	}
	if sync != nil {
		m.sync = nil
		m.say(wire(m.t, Fence{FenceBlockBefore | FenceBlockAfter | FenceSyncNext, sync}))
	}
}

// meet is the part of r in any of list.
func meet(r Rect, list []Rect) (parts []Rect) {
	for _, q := range list {
		x, y := max(r.X, q.X), max(r.Y, q.Y)
		right, low := min(r.X+r.Width, q.X+q.Width), min(r.Y+r.Height, q.Y+q.Height)
		if x < right && y < low {
			parts = append(parts, Rect{x, y, right - x, low - y})
		}
	}
	return parts
}

// compose composes an update if one was asked for and there is something to
// send.
func (m *model) compose() {
	if m.job != nil || m.sync != nil || len(m.requested) == 0 && !m.continuous {
		return
	}
	var rects []Rect
	for _, d := range m.dirty {
		if m.clips && !m.continuous {
			rects = append(rects, meet(d, m.requested)...)
		} else {
			rects = append(rects, d)
		}
	}
	if len(rects) == 0 {
		return
	}
	m.dirty, m.requested = nil, nil
	if m.overlay && m.r.IntN(2) == 0 {
		rects = append(rects, Rect{m.at(int(m.side) - 16), m.at(int(m.side) - 16), 16, 16})
	}
	var bodies [][]byte
	for _, r := range rects {
		bodies = append(bodies, m.encode(r))
	}
	if slices.Contains(m.encodings, EncodingCursor) && m.r.IntN(4) == 0 {
		bodies = slices.Insert(bodies, 0, m.cursor())
	}
	m.updates[m.format]++
	if b := update(bodies...); m.worker {
		m.job = b
	} else {
		m.say(b)
	}
}

// at is a number below n.
func (m *model) at(n int) uint16 { return uint16(m.r.IntN(n)) }

func (m *model) noise(n int) []byte {
	b := make([]byte, n)
	if m.r.IntN(3) > 0 { // else black
		for i := range b {
			b[i] = byte(m.r.Uint32())
		}
	}
	return b
}

func (m *model) cursor() []byte {
	return rectOf(Rect{1, 1, 9, 5}, EncodingCursor, m.noise(9*5*m.format.size()+2*5))
}

// encode is a rectangle in one of the encodings that the server was told, or Raw.
func (m *model) encode(r Rect) []byte {
	f, area := m.format, int(r.Width)*int(r.Height)
	var usable []Encoding
	for _, e := range m.encodings {
		if e.picture() {
			usable = append(usable, e)
		}
	}
	e := append(usable, EncodingRaw)[m.r.IntN(len(usable)+1)]
	switch e {
	case EncodingCopyRect:
		return rectOf(r, e, m.noise(4))
	case EncodingRRE, EncodingCoRRE:
		n := m.r.IntN(min(area, 20) + 1)
		size := f.size() + 8
		if e == EncodingCoRRE {
			size = f.size() + 4
		}
		return rectOf(r, e, u32(uint32(n)), m.noise(f.size()+n*size))
	case EncodingHextile:
		var b []byte
		for y := 0; y < int(r.Height); y += 16 {
			for x := 0; x < int(r.Width); x += 16 {
				w, h := min(16, int(r.Width)-x), min(16, int(r.Height)-y)
				switch mask := byte(m.r.IntN(32)); {
				case mask&tileRaw != 0:
					b = append(append(b, mask), m.noise(w*h*f.size())...)
				case mask&tileSubrects != 0:
					colors, subrect := tileHead(mask, f.size())
					n := m.r.IntN(8)
					b = append(append(append(append(b, mask), m.noise(colors)...), byte(n)), m.noise(n*subrect)...)
				default:
					colors, _ := tileHead(mask, f.size())
					b = append(append(b, mask), m.noise(colors)...)
				}
			}
		}
		return rectOf(r, e, b)
	case EncodingZlib, EncodingZRLE:
		n := m.r.IntN(100)
		return rectOf(r, e, u32(uint32(n)), m.noise(n))
	case EncodingTight:
		switch n := area * f.tightSize(); {
		case m.r.IntN(2) == 0:
			return rectOf(r, e, []byte{0x80}, m.noise(f.tightSize()))
		case n < tightRaw:
			return rectOf(r, e, []byte{0}, m.noise(n))
		default:
			return rectOf(r, e, []byte{0, 0x21}, m.noise(0x21))
		}
	}
	return rectOf(r, EncodingRaw, m.noise(area*f.size()))
}

// show carries some of what the server has sent.
func (m *model) show(n int) {
	if n = min(n, len(m.outbox)); n == 0 {
		return
	}
	tn := &m.filter.agreed.turn
	tn.heard.Add(1)
	p, err := m.walker.walk(bytes.Clone(m.outbox[:n]))
	require.NoError(m.t, err, "the walker has lost its place: %v", m.what())
	m.outbox = m.outbox[n:]
	m.shown = append(append(m.shown, m.walker.late...), p...)
	m.walker.late = m.walker.late[:0]
	tn.busy.Store(!m.walker.between())
}

func (m *model) what() string {
	return fmt.Sprintf("fenced %v, clips %v, worker %v, overlay %v", m.fenced, m.clips, m.worker, m.overlay)
}

// step does something that may happen next.
func (m *model) step(change bool) {
	whole, half := Rect{0, 0, m.side, m.side}, int(m.side)/2
	switch m.r.IntN(14) {
	case 0, 1:
		if m.r.IntN(5) == 0 && change {
			m.dirty = append(m.dirty, Rect{m.at(half), m.at(half), 1 + m.at(half), 1 + m.at(half)})
		}
	case 2, 3, 4:
		m.read()
	case 5, 6:
		m.compose()
	case 7:
		if m.job != nil {
			m.say(m.job)
			m.job = nil
		}
	case 8, 9, 10:
		m.show(1 + m.r.IntN(4000))
	case 11:
		if !m.over {
			m.viewer(&FramebufferUpdateRequest{m.r.IntN(8) > 0, whole})
		}
	case 12:
		if m.r.IntN(40) == 0 && !m.over { // as servers that tell of something without being asked
			rects := rectOf(whole, EncodingDesktopSize)
			if !slices.Contains(m.encodings, EncodingDesktopSize) {
				return
			}
			if slices.Contains(m.encodings, EncodingCursor) && m.r.IntN(2) == 0 {
				rects = m.cursor()
			}
			m.say(update(rects))
		}
	case 13:
		if m.r.IntN(30) == 0 && !m.over {
			m.filter.sign()
			m.carry()
		}
	}
	m.pass(time.Duration(m.r.IntN(1000)) * time.Microsecond)
}
