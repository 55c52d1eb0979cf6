package rfb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

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

// An update is read in the format in which it was composed, whatever the server
// and its answers are like, whenever the viewer changes the format, and however
// the stream is cut.
func TestFormatChangesAtTheRightPlace(t *testing.T) {
	all := []Encoding{EncodingTight, EncodingZRLE, EncodingHextile, EncodingCopyRect, EncodingRRE, EncodingCoRRE, EncodingZlib,
		EncodingDesktopSize, EncodingFence, EncodingContinuousUpdates, EncodingCursor, EncodingPointerPos}
	for seed := range uint64(150) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { changeFormats(t, newModel(t, rand.NewPCG(seed, 11), 200), all, 12) }) {
			return
		}
	}
}

func changeFormats(t *testing.T, m *model, all []Encoding, changes int) {
	whole := Rect{0, 0, m.side, m.side}
	m.carry()
	list := all
	if m.r.IntN(2) == 0 {
		list = all[:len(all)-2] // without Cursor
	}
	m.viewer(&SetPixelFormat{formats[m.r.IntN(len(formats))]}, &SetEncodings{list}, &FramebufferUpdateRequest{Rect: whole})
	for change := range changes {
		// Sometimes the screen changes, sometimes it doesn't.
		paints := m.r.IntN(2) == 0
		for range m.r.IntN(400) {
			m.step(paints)
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
	h := newHalves(t)
	f, say, show := h.f, h.say, h.show
	screen := Rect{0, 0, 640, 480}
	say(&SetEncodings{[]Encoding{EncodingHextile, EncodingDesktopSize, EncodingLastRect}}, &FramebufferUpdateRequest{true, screen})

	low := PixelFormat{8, 8, false, true, 7, 7, 3, 0, 3, 6}
	assert.Empty(t, say(&SetPixelFormat{low}, &FramebufferUpdateRequest{false, Rect{1, 2, 3, 4}}))
	assert.Equal(t, h.now.Add(silence), f.wake(false))
	h.now = f.wake(false)
	first := join(wire(t, SetEncodings{[]Encoding{EncodingDesktopSize, EncodingRaw}}), wire(t, FramebufferUpdateRequest{false, Rect{0, 0, 1, 1}}))
	assert.Equal(t, first, say())
	h.now = f.wake(false)
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
	f, w := newClientFilter(a, false, nil, 0), newWalker(a, pinned, 0)
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

// What viewers have said to servers, the pixel format that each wants included, is served to its last byte.
func TestCapturedViewersAreServed(t *testing.T) {
	formats := 0
	for name, tr := range readTraces(t) {
		if !strings.Contains(name, "/viewer-") {
			continue
		}
		said := tr.Stream(FromViewer)[tr.shake.Len(FromViewer):]
		got := drive(t, newClientFilter(newAgreed(tr.width, tr.height), false, nil, 0), said, []int{0, len(said)})
		require.NoError(t, got.err, name)
		require.NoError(t, checkViewOnly(got.out, int(tr.width), int(tr.height)), name)
		if said[0] == byte(ClientSetPixelFormat) {
			formats++
			var f PixelFormat
			require.NoError(t, f.UnmarshalBinary(said[4:20]), name)
			want, err := f.served()
			require.NoError(t, err, name)
			if want != pinned {
				assert.Contains(t, string(got.out), string(wire(t, SetPixelFormat{want})), name)
			}
		}
	}
	assert.Greater(t, formats, 20)
}
