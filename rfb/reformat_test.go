package rfb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// formats are pixel formats that viewers ask for.
var formats = []PixelFormat{
	pinned,
	{32, 24, false, true, 255, 255, 255, 16, 8, 0}, // noVNC up to 1.2, most native viewers
	{32, 24, true, true, 255, 255, 255, 16, 8, 0},
	{32, 24, false, true, 255, 255, 255, 8, 16, 24},
	{32, 32, false, true, 255, 255, 255, 16, 8, 0}, // a depth of which servers make different things
	{32, 24, false, true, 255, 255, 255, 1, 9, 17},
	{32, 30, false, true, 1023, 1023, 1023, 20, 10, 0},
	{16, 16, false, true, 31, 63, 31, 11, 5, 0},
	{16, 15, true, true, 31, 31, 31, 10, 5, 0},
	{8, 8, false, true, 7, 7, 3, 0, 3, 6}, // TigerVNC, noVNC 1.3.0 with AMT
	{8, 6, false, true, 3, 3, 3, 4, 2, 0},
	{8, 3, false, true, 1, 1, 1, 2, 1, 0},
	{8, 8, false, false, 0, 0, 0, 0, 0, 0}, // a colour map
}

func TestFilterServesEveryFormat(t *testing.T) {
	for _, f := range formats {
		got := whole(t, join(wire(t, SetPixelFormat{f}), unhex(t, "03 01 0000 0000 0001 0001")))
		require.NoError(t, got.err, f)
		want := start(t)
		if f != pinned {
			want = join(want, wire(t, SetPixelFormat{f}))
		}
		assert.Equal(t, join(want, unhex(t, "03 01 0000 0000 0001 0001")), got.out, f)
	}
	for _, tt := range []struct {
		name, in, out string
	}{
		{"what has no meaning isn't told", "00 abcdef 08 08 01 ff 0007 0007 0003 00 03 06 aabbcc", "08 08 00 01 0007 0007 0003 00 03 06"},
		{"nor of a map", "00 000000 08 03 01 00 1111 2222 3333 77 88 99 000000", "08 08 00 00 0000 0000 0000 00 00 00"},
		{"no depth", "00 000000 10 00 00 01 001f 003f 001f 0b 05 00 000000", "10 10 00 01 001f 003f 001f 0b 05 00"},
	} {
		got := whole(t, unhex(t, tt.in))
		require.NoError(t, got.err, tt.name)
		assert.Equal(t, join(start(t), unhex(t, "00 000000"), unhex(t, tt.out), unhex(t, "000000")), got.out, tt.name)
	}
}

// Where servers disagree on the length of Tight's pixels, it isn't asked for.
func TestTightOnlyWhereItsPixelsAreBeyondDispute(t *testing.T) {
	odd := SetPixelFormat{formats[4]}
	list := func(e ...Encoding) []byte { return wire(t, SetEncodings{e}) }
	got := whole(t, join(
		list(EncodingTight, EncodingZRLE), wire(t, odd), list(EncodingTight, EncodingHextile), wire(t, SetPixelFormat{pinned})))
	require.NoError(t, got.err)
	assert.Equal(t, join(start(t),
		list(EncodingTight, EncodingZRLE), list(EncodingZRLE), wire(t, odd), list(EncodingHextile),
		wire(t, SetPixelFormat{pinned}), list(EncodingTight, EncodingHextile)), got.out)
}

// A model is a server, and the queues between it, a relay's two halves and a
// viewer. It reads a message when it likes, and composes an update in the format
// of that moment when something was requested.
type model struct {
	t       *testing.T
	r       *rand.Rand
	fenced  bool // knows fences and continuous updates
	clips   bool // sends what was requested; else whatever has changed
	worker  bool // sends an update after it has read further messages, as QEMU's worker does
	overlay bool // and changes there that nobody requested, as libvncserver does where the pointer was

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

const modelSide = 200

func newModel(t *testing.T, seed uint64) *model {
	r := rand.New(rand.NewPCG(seed, 11))
	m := &model{t: t, r: r, now: epoch, format: pinned, updates: make(map[PixelFormat]int),
		fenced: r.IntN(3) == 0, clips: r.IntN(3) > 0, worker: r.IntN(3) == 0, overlay: r.IntN(3) == 0}
	m.worker = m.worker && !m.fenced // none that is known has both
	a := newAgreed(modelSide, modelSide)
	m.filter = newClientFilter(a, ViewOnly, false, nil, 0)
	m.walker = newWalker(a, pinned, ViewOnly, 0)
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
		rects = append(rects, Rect{uint16(20 + m.r.IntN(100)), uint16(20 + m.r.IntN(100)), 16, 16})
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
	whole := Rect{0, 0, modelSide, modelSide}
	switch m.r.IntN(14) {
	case 0, 1:
		if m.r.IntN(5) == 0 && change {
			m.dirty = append(m.dirty, Rect{uint16(m.r.IntN(100)), uint16(m.r.IntN(100)), uint16(1 + m.r.IntN(100)), uint16(1 + m.r.IntN(100))})
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
	}
	m.pass(time.Duration(m.r.IntN(1000)) * time.Microsecond)
}

// An update is read in the format in which it was composed, whatever the server
// and its answers are like, whenever the viewer changes the format, and however
// the stream is cut.
func TestFormatChangesAtTheRightPlace(t *testing.T) {
	all := []Encoding{EncodingTight, EncodingZRLE, EncodingHextile, EncodingCopyRect, EncodingRRE, EncodingCoRRE, EncodingZlib,
		EncodingDesktopSize, EncodingFence, EncodingContinuousUpdates, EncodingCursor, EncodingPointerPos}
	for seed := range uint64(150) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { changeFormats(t, newModel(t, seed), all) }) {
			return
		}
	}
}

func changeFormats(t *testing.T, m *model, all []Encoding) {
	whole := Rect{0, 0, modelSide, modelSide}
	m.carry()
	list := all
	if m.r.IntN(2) == 0 {
		list = all[:len(all)-2] // without Cursor
	}
	m.viewer(&SetPixelFormat{formats[m.r.IntN(len(formats))]}, &SetEncodings{list}, &FramebufferUpdateRequest{Rect: whole})
	for change := range 12 {
		// Sometimes the screen changes, sometimes it doesn't.
		changes := m.r.IntN(2) == 0
		for range m.r.IntN(400) {
			m.step(changes)
		}
		if m.fenced && m.filter.agreed.knows(hasUpdates) && m.r.IntN(3) == 0 {
			m.viewer(&EnableContinuousUpdates{m.r.IntN(3) > 0, whole})
		}
		f := formats[m.r.IntN(len(formats))]
		m.viewer(&SetPixelFormat{f})
		if m.r.IntN(2) == 0 {
			m.viewer(&FramebufferUpdateRequest{m.r.IntN(2) == 0, whole})
		}
		if change%4 == 3 { // the server comes to know it
			want, err := f.served()
			require.NoError(t, err)
			for i := 0; m.format != want || m.filter.holds(); i++ {
				require.Less(t, i, 200_000, "the viewer's format must come into force: %v, phase %d", m.what(), m.filter.re.phase)
				m.step(false)
			}
		}
	}
	m.over = true
	for i := 0; len(m.inbox)+len(m.outbox)+len(m.job) > 0 || m.filter.holds(); i++ {
		require.Less(t, i, 200_000)
		m.step(false)
	}
	// The viewer sees all but the answers to the relay's own questions.
	var want []byte
	for _, b := range m.composed {
		fence := b[0] == byte(ServerFence) && be32(b[4:])&uint32(FenceRequest) == 0
		probe := b[0] == 0 && be16(b[2:]) == 1 && be32(b[12:]) == uint32(EncodingRaw) &&
			bytes.Equal(b[8:12], u16(1, 1)) && bytes.Equal(b[4:6], b[6:8])
		if !fence && !probe {
			want = append(want, b...)
		}
	}
	assert.True(t, bytes.Equal(want, m.shown), "the viewer sees %d bytes of %d: %s", len(m.shown), len(want), m.what())
}

// A screen that doesn't change, where a request waits for as long as it likes,
// doesn't keep a viewer from another format, and what the relay has to ask for
// isn't seen.
func TestFormatChangesWhileARequestWaits(t *testing.T) {
	a := newAgreed(640, 480)
	f, w := newClientFilter(a, ViewOnly, false, nil, 0), newWalker(a, pinned, ViewOnly, 0)
	now := epoch
	say := func(messages ...Message) []byte {
		f.out = f.out[:0]
		var in []byte
		for _, m := range messages {
			in = append(in, wire(t, m)...)
		}
		_, err := f.feed(now, in)
		require.NoError(t, err)
		return bytes.Clone(f.out)
	}
	show := func(b []byte) []byte {
		a.turn.heard.Add(1)
		p, err := w.walk(bytes.Clone(b))
		require.NoError(t, err)
		p = join(w.late, p)
		w.late = nil
		return p
	}
	screen := Rect{0, 0, 640, 480}
	say(&SetEncodings{[]Encoding{EncodingHextile, EncodingDesktopSize, EncodingLastRect}}, &FramebufferUpdateRequest{true, screen})

	low := PixelFormat{8, 8, false, true, 7, 7, 3, 0, 3, 6}
	assert.Empty(t, say(&SetPixelFormat{low}, &FramebufferUpdateRequest{false, Rect{1, 2, 3, 4}}))
	assert.Equal(t, now.Add(silence), f.wake(false))
	now = f.wake(false)
	first := join(wire(t, SetEncodings{[]Encoding{EncodingDesktopSize, EncodingRaw}}), wire(t, FramebufferUpdateRequest{false, Rect{0, 0, 1, 1}}))
	assert.Equal(t, first, say())
	now = f.wake(false)
	assert.Equal(t, wire(t, FramebufferUpdateRequest{false, Rect{71, 53, 1, 1}}), say(), "once more")

	// The screen has changed, just before the server read this: the pixel is
	// there, and one more update may come.
	changed := update(rectOf(Rect{70, 50, 16, 16}, EncodingHextile, []byte{2}, zeros(4)))
	assert.Equal(t, changed, show(changed))
	assert.Equal(t, wire(t, FramebufferUpdateRequest{false, Rect{142, 106, 1, 1}}), say())
	assert.Empty(t, show(update(rectOf(Rect{0, 0, 1, 1}, EncodingRaw, zeros(4)))), "an answer is for the relay only")
	assert.Empty(t, say())
	resized := update(rectOf(Rect{0, 0, 640, 480}, EncodingDesktopSize))
	assert.Equal(t, resized, show(resized))
	assert.Empty(t, say())
	answer := update(rectOf(Rect{142, 106, 1, 1}, EncodingRaw, zeros(4)))
	for i := range answer {
		assert.Empty(t, show(answer[i:i+1]))
	}
	assert.Equal(t, join(
		wire(t, SetPixelFormat{low}),
		wire(t, SetEncodings{[]Encoding{EncodingHextile, EncodingDesktopSize, EncodingLastRect}}),
		wire(t, FramebufferUpdateRequest{true, screen}), // which a probe took the place of
		wire(t, FramebufferUpdateRequest{false, Rect{1, 2, 3, 4}}),
	), say())
	picture := update(rectOf(Rect{0, 0, 16, 16}, EncodingHextile, []byte{2}, zeros(1)))
	assert.Equal(t, picture, show(picture))
	assert.Zero(t, f.wake(false))
}

// The colours of a map are for who wants one; noVNC ends when it sees any.
func TestColorMapPassesToWhoWantsOne(t *testing.T) {
	a := newAgreed(640, 480)
	f, w := newClientFilter(a, ViewOnly, false, nil, 0), newWalker(a, pinned, ViewOnly, 0)
	colors := wire(t, SetColorMapEntries{First: 1, Colors: make([]Color, 3)})
	p, err := w.walk(bytes.Clone(colors))
	require.NoError(t, err)
	assert.Empty(t, p)
	_, err = f.feed(epoch, wire(t, SetPixelFormat{PixelFormat{BitsPerPixel: 8, Depth: 8}}))
	require.NoError(t, err)
	p, err = w.walk(bytes.Clone(colors))
	require.NoError(t, err)
	assert.Equal(t, colors, p)
}

// Cursor means that the server leaves the pointer out of the picture: it is for
// viewers that are told where the pointer is.
func TestPointerBelongsIntoThePicture(t *testing.T) {
	list := func(e ...Encoding) []byte { return wire(t, SetEncodings{e}) }
	for _, tt := range []struct{ in, out []Encoding }{
		{[]Encoding{EncodingTight, EncodingCursor, EncodingXCursor, EncodingCursorWithAlpha, EncodingVMwareCursor}, []Encoding{EncodingTight}},
		{[]Encoding{EncodingTight, EncodingCursor, EncodingXCursor, EncodingPointerPos}, []Encoding{EncodingTight, EncodingCursor, EncodingXCursor, EncodingPointerPos}},
		{[]Encoding{EncodingPointerPos, EncodingTight}, []Encoding{EncodingPointerPos, EncodingTight}},
	} {
		got := whole(t, list(tt.in...))
		require.NoError(t, got.err)
		assert.Equal(t, join(start(t), list(tt.out...)), got.out)
	}
}
