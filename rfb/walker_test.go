package rfb

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everything is every encoding that a view-only rectangle may have.
var everything = setOf(EncodingRaw, EncodingCopyRect, EncodingRRE, EncodingCoRRE, EncodingHextile, EncodingZlib,
	EncodingTight, EncodingZRLE, EncodingDesktopSize, EncodingLastRect, EncodingPointerPos, EncodingCursor,
	EncodingXCursor, EncodingLEDState, EncodingDesktopName)

// walked is what a walker made of a stream.
type walked struct {
	out           []byte
	err           error
	width, height uint16
	done          bool // at the end of a message
}

// walkParts gives a walker parts of in, one after the other.
func walkParts(in []byte, parts []int, format PixelFormat, allowed encodingSet) (r walked) {
	a := newAgreed(640, 480)
	a.allow(allowed)
	w := newWalker(a, format, 0)
	in = bytes.Clone(in) // a walker works in place
	for _, n := range parts {
		p, err := w.walk(in[:n:n])
		if err != nil {
			r.err = err
			break
		}
		r.out = append(r.out, p...)
		in = in[n:]
	}
	r.width, r.height = a.framebuffer()
	r.done = r.err == nil && w.state == atMessage && w.skip == 0 && w.have == 0
	return r
}

func walkWhole(in []byte) walked {
	return walkParts(in, []int{len(in)}, pinned, everything)
}

// update is a FramebufferUpdate of rectangles.
func update(rects ...[]byte) []byte {
	return join([]byte{0, 0}, u16(uint16(len(rects))), join(rects...))
}

// rectOf is a rectangle's header and body.
func rectOf(r Rect, e Encoding, body ...[]byte) []byte {
	return join(u16(r.X, r.Y, r.Width, r.Height), u32(uint32(e)), join(body...))
}

// zeros are n bytes.
func zeros(n int) []byte { return make([]byte, n) }

// rectangles are one of each kind.
var rectangles = []struct {
	name string
	rect []byte
}{
	{"Raw", rectOf(Rect{1, 2, 3, 4}, EncodingRaw, zeros(48))},
	{"Raw, empty", rectOf(Rect{1, 2, 0, 4}, EncodingRaw)},
	{"Raw, whole screen", rectOf(Rect{0, 0, 640, 480}, EncodingRaw, zeros(640*480*4))},
	{"CopyRect", rectOf(Rect{1, 2, 3, 4}, EncodingCopyRect, zeros(4))},
	{"CopyRect, empty", rectOf(Rect{1, 2, 0, 0}, EncodingCopyRect, zeros(4))},
	{"RRE", rectOf(Rect{1, 2, 3, 4}, EncodingRRE, u32(2), zeros(4+2*12))},
	{"RRE, as many as there are pixels", rectOf(Rect{1, 2, 3, 4}, EncodingRRE, u32(12), zeros(4+12*12))},
	{"CoRRE", rectOf(Rect{1, 2, 3, 4}, EncodingCoRRE, u32(2), zeros(4+2*8))},
	{"Hextile, background", rectOf(Rect{0, 0, 16, 16}, EncodingHextile, []byte{2}, zeros(4))},
	{"Hextile, nothing", rectOf(Rect{0, 0, 33, 17}, EncodingHextile, zeros(6))},
	{"Hextile, raw at the edges", rectOf(Rect{0, 0, 17, 18}, EncodingHextile,
		[]byte{31}, zeros(16*16*4), []byte{1}, zeros(1*16*4), []byte{1}, zeros(16*2*4), []byte{1}, zeros(1*2*4))},
	{"Hextile, subrectangles", rectOf(Rect{0, 0, 20, 16}, EncodingHextile,
		[]byte{14}, zeros(8), []byte{3}, zeros(3*2), []byte{8 | 16}, []byte{255}, zeros(255*6))},
	{"Hextile, no subrectangles", rectOf(Rect{0, 0, 16, 16}, EncodingHextile, []byte{8, 0})},
	{"Zlib", rectOf(Rect{1, 2, 3, 4}, EncodingZlib, u32(5), zeros(5))},
	{"ZRLE", rectOf(Rect{1, 2, 3, 4}, EncodingZRLE, u32(0))},
	{"ZRLE, incompressible", rectOf(Rect{1, 2, 3, 4}, EncodingZRLE, u32(12*4+maxSlack), zeros(12*4+maxSlack))},
	{"Tight fill", rectOf(Rect{0, 0, 300, 200}, EncodingTight, []byte{0x80}, zeros(3))},
	{"Tight fill, streams reset", rectOf(Rect{0, 0, 300, 200}, EncodingTight, []byte{0x8f}, zeros(3))},
	{"Tight JPEG", rectOf(Rect{0, 0, 300, 200}, EncodingTight, []byte{0x90, 0x85, 0x01}, zeros(133))},
	{"Tight copy, short", rectOf(Rect{0, 0, 3, 1}, EncodingTight, []byte{0x00}, zeros(9))},
	{"Tight copy", rectOf(Rect{0, 0, 4, 1}, EncodingTight, []byte{0x00, 12}, zeros(12))},
	{"Tight copy, filter named", rectOf(Rect{0, 0, 4, 1}, EncodingTight, []byte{0x50, 0, 12}, zeros(12))},
	{"Tight gradient", rectOf(Rect{0, 0, 100, 100}, EncodingTight, []byte{0x60, 2, 0x80, 0x80, 1}, zeros(1<<14))},
	{"Tight two colours, short", rectOf(Rect{0, 0, 9, 5}, EncodingTight, []byte{0x40, 1, 1}, zeros(6), zeros(10))},
	{"Tight two colours", rectOf(Rect{0, 0, 9, 6}, EncodingTight, []byte{0x70, 1, 1}, zeros(6), []byte{20}, zeros(20))},
	{"Tight three colours, short", rectOf(Rect{0, 0, 11, 1}, EncodingTight, []byte{0x40, 1, 2}, zeros(9), zeros(11))},
	{"Tight 256 colours", rectOf(Rect{0, 0, 100, 100}, EncodingTight, []byte{0x40, 1, 255}, zeros(768), []byte{0x80, 0x01}, zeros(128))},
	{"Cursor", rectOf(Rect{4, 4, 9, 3}, EncodingCursor, zeros(9*3*4), zeros(6))},
	{"Cursor, none", rectOf(Rect{}, EncodingCursor)},
	{"XCursor", rectOf(Rect{4, 4, 9, 3}, EncodingXCursor, zeros(6), zeros(12))},
	{"XCursor, none", rectOf(Rect{}, EncodingXCursor)},
	{"PointerPos", rectOf(Rect{600, 400, 0, 0}, EncodingPointerPos)},
	{"LEDState", rectOf(Rect{}, EncodingLEDState, []byte{2})},
	{"DesktopName", rectOf(Rect{}, EncodingDesktopName, u32(5), []byte("vda-1"))},
	{"DesktopName, empty", rectOf(Rect{}, EncodingDesktopName, u32(0))},
	{"DesktopSize", rectOf(Rect{0, 0, 640, 480}, EncodingDesktopSize)},
}

func TestWalkerPassesWhatItKnows(t *testing.T) {
	for _, tt := range rectangles {
		t.Run(tt.name, func(t *testing.T) {
			in := join(update(tt.rect, tt.rect), []byte{2}, update(), update(tt.rect))
			got := walkWhole(in)
			require.NoError(t, got.err)
			assert.True(t, bytes.Equal(in, got.out), "passes unchanged")
			assert.True(t, got.done, "ends where the message does")

			got = walkParts(in, []int{len(in) - 1}, pinned, everything)
			require.NoError(t, got.err)
			assert.False(t, got.done, "does not end before")
		})
	}
}

func TestWalkerHides(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message []byte
	}{
		{"SetColorMapEntries", unhex(t, "01 00 0000 0002 000100020003 000400050006")},
		{"SetColorMapEntries, none", unhex(t, "01 00 0000 0000")},
		{"ServerCutText", unhex(t, "03 000000 00000006 736563726574")},
		{"ServerCutText, empty", unhex(t, "03 000000 00000000")},
		{"extended clipboard", unhex(t, "03 000000 fffffff8 01000001 00000000")},
		{"KeepAlive", unhex(t, "0d")},
		{"ServerState", unhex(t, "ad 000000 00000001 00000001")},
		{"xvp", unhex(t, "fa 00 01 01")},
		{"QEMU audio begins", unhex(t, "ff 01 0001")},
		{"QEMU audio ends", unhex(t, "ff 01 0000")},
		{"QEMU audio", unhex(t, "ff 01 0002 00000003 010203")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bell, show, hide := []byte{2}, update(rectangles[0].rect), tt.message
			in := join(hide, bell, hide, hide, show, hide, bell, show, hide)
			for name, parts := range cuts(len(in)) {
				got := walkParts(in, parts, pinned, everything)
				require.NoError(t, got.err, name)
				assert.Equal(t, join(bell, show, bell, show), got.out, name)
				assert.True(t, got.done, name)
			}
		})
	}
}

func TestWalkerCleansDesktopNames(t *testing.T) {
	in := update(rectOf(Rect{}, EncodingDesktopName, u32(10), []byte("a\x00<\x1b\u202eb\n\xff")), rectangles[0].rect)
	want := update(rectOf(Rect{}, EncodingDesktopName, u32(10), []byte("a?<????b??")), rectangles[0].rect)
	for name, parts := range cuts(len(in)) {
		got := walkParts(in, parts, pinned, everything)
		require.NoError(t, got.err)
		assert.Equal(t, want, got.out, name)
	}
}

func TestWalkerFollowsTheSize(t *testing.T) {
	got := walkWhole(update(
		rectOf(Rect{0, 0, 16384, 16384}, EncodingDesktopSize),
		rectOf(Rect{16380, 16382, 4, 2}, EncodingRaw, zeros(32)),
		rectOf(Rect{0, 0, 800, 600}, EncodingDesktopSize),
	))
	require.NoError(t, got.err)
	assert.Equal(t, [2]uint16{800, 600}, [2]uint16{got.width, got.height})
}

func TestWalkerEndsAnUpdateAtLastRect(t *testing.T) {
	in := join([]byte{0, 0, 0xff, 0xff}, rectangles[0].rect, rectOf(Rect{}, EncodingLastRect), []byte{2})
	got := walkWhole(in)
	require.NoError(t, got.err)
	assert.Equal(t, in, got.out)
	assert.True(t, got.done)
}

func TestWalkerRefuses(t *testing.T) {
	r := Rect{1, 2, 3, 4}
	for _, tt := range []struct {
		name string
		in   []byte
		want error
	}{
		{"an unknown message", []byte{99}, ErrMalformed},
		{"UltraVNC's resize", []byte{4}, ErrForbidden},
		{"file transfer", []byte{7}, ErrForbidden},
		{"chat", []byte{11}, ErrForbidden},
		{"Palm", []byte{15}, ErrForbidden},
		{"Tight files", []byte{130}, ErrForbidden},
		{"continuous updates", []byte{150}, ErrForbidden},
		{"fence", []byte{248}, ErrForbidden},
		{"gii", []byte{253}, ErrForbidden},
		{"QEMU, unknown", unhex(t, "ff 02 0000"), ErrMalformed},
		{"QEMU audio, unknown", unhex(t, "ff 01 0003"), ErrMalformed},
		{"QEMU audio, too long", unhex(t, "ff 01 0002 ffffffff"), ErrLimit},
		{"clipboard, too long", unhex(t, "03 000000 7fffffff"), ErrLimit},
		{"clipboard, -2^31", unhex(t, "03 000000 80000000"), ErrLimit},
		{"an unknown encoding", update(rectOf(r, 12345)), ErrForbidden},
		{"a hint as an encoding", update(rectOf(r, EncodingQuality9)), ErrForbidden},
		{"ExtendedDesktopSize", update(rectOf(r, EncodingExtendedDesktopSize)), ErrForbidden},
		{"WMVi", update(rectOf(r, 0x574d5669)), ErrForbidden},
		{"Raw, too wide", update(rectOf(Rect{638, 0, 3, 1}, EncodingRaw)), ErrMalformed},
		{"Raw, too high", update(rectOf(Rect{0, 478, 1, 3}, EncodingRaw)), ErrMalformed},
		{"Raw, wrapping", update(rectOf(Rect{65535, 0, 65535, 1}, EncodingRaw)), ErrMalformed},
		{"Raw, area fits and sides don't", update(rectOf(Rect{0, 0, 1280, 1}, EncodingRaw)), ErrMalformed},
		{"CopyRect, outside", update(rectOf(Rect{640, 0, 1, 1}, EncodingCopyRect)), ErrMalformed},
		{"Hextile, empty", update(rectOf(Rect{0, 0, 0, 16}, EncodingHextile)), ErrMalformed},
		{"Zlib, empty", update(rectOf(Rect{0, 0, 16, 0}, EncodingZlib)), ErrMalformed},
		{"Tight, empty", update(rectOf(Rect{}, EncodingTight)), ErrMalformed},
		{"RRE, too many", update(rectOf(r, EncodingRRE, u32(13), zeros(4))), ErrMalformed},
		{"RRE, wrapping", update(rectOf(r, EncodingRRE, u32(0xffffffff), zeros(4))), ErrMalformed},
		{"CoRRE, too many", update(rectOf(r, EncodingCoRRE, u32(13), zeros(4))), ErrMalformed},
		{"Zlib, too long", update(rectOf(r, EncodingZlib, u32(12*4+maxSlack+1))), ErrLimit},
		{"ZRLE, too long", update(rectOf(r, EncodingZRLE, u32(0xffffffff))), ErrLimit},
		{"Hextile, ZlibHex bits", update(rectOf(r, EncodingHextile, []byte{0x20})), ErrMalformed},
		{"Tight PNG", update(rectOf(r, EncodingTight, []byte{0xa0})), ErrMalformed},
		{"Tight without zlib", update(rectOf(r, EncodingTight, []byte{0xe0})), ErrMalformed},
		{"Tight, unknown", update(rectOf(r, EncodingTight, []byte{0xb0})), ErrMalformed},
		{"Tight, unknown filter", update(rectOf(r, EncodingTight, []byte{0x40, 3})), ErrMalformed},
		{"Tight, too long", update(rectOf(r, EncodingTight, []byte{0x00, 0xff, 0xff, 0xff})), ErrLimit},
		{"DesktopSize, none", update(rectOf(Rect{0, 0, 0, 480}, EncodingDesktopSize)), ErrLimit},
		{"DesktopSize, too wide", update(rectOf(Rect{0, 0, 16385, 1}, EncodingDesktopSize)), ErrLimit},
		{"DesktopSize, too high", update(rectOf(Rect{0, 0, 1, 16385}, EncodingDesktopSize)), ErrLimit},
		{"Cursor, too wide", update(rectOf(Rect{0, 0, 257, 1}, EncodingCursor)), ErrLimit},
		{"XCursor, too high", update(rectOf(Rect{0, 0, 1, 257}, EncodingXCursor)), ErrLimit},
		{"DesktopName, too long", update(rectOf(Rect{}, EncodingDesktopName, u32(maxName+1))), ErrLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := join([]byte{2}, tt.in)
			for name, parts := range cuts(len(in)) {
				got := walkParts(in, parts, pinned, everything)
				require.ErrorIs(t, got.err, tt.want, name)
				var p *ProtocolError
				require.ErrorAs(t, got.err, &p)
				assert.Equal(t, FromServer, p.Direction)
			}
			got := walkParts(in, []int{len(in)}, pinned, everything)
			assert.Empty(t, got.out, "nothing of a read with a violation passes")
		})
	}
}

func TestWalkerRefusesWhatWasNotAskedFor(t *testing.T) {
	for _, tt := range rectangles {
		enc := Encoding(int32(uint32(tt.rect[8])<<24 | uint32(tt.rect[9])<<16 | uint32(tt.rect[10])<<8 | uint32(tt.rect[11])))
		in := update(tt.rect)
		got := walkParts(in, []int{len(in)}, pinned, everything&^encodingBit(enc))
		if enc == EncodingRaw {
			assert.NoError(t, got.err, "Raw may always be used")
			continue
		}
		assert.ErrorIs(t, got.err, ErrForbidden, tt.name)
	}
}

func TestWalkerGivesTheSameHoweverItIsCut(t *testing.T) {
	t.Parallel()
	var all [][]byte
	for _, r := range rectangles {
		all = append(all, r.rect)
	}
	in := join(update(all...), unhex(t, "03 000000 00000006 736563726574 02 0d"), update(all...))
	want := walkWhole(in)
	require.NoError(t, want.err)
	require.True(t, want.done)
	for name, parts := range cuts(len(in)) {
		got := walkParts(in, parts, pinned, everything)
		require.NoError(t, got.err, name)
		assert.True(t, bytes.Equal(want.out, got.out), name)
		assert.True(t, got.done, name)
	}
}

func TestWalkerAllocatesNothing(t *testing.T) {
	var all [][]byte
	for _, r := range rectangles {
		all = append(all, r.rect)
	}
	in := join(update(all...), unhex(t, "03 000000 00000006 736563726574"))
	a := newAgreed(640, 480)
	a.allow(everything)
	w := newWalker(a, pinned, 0)
	p := make([]byte, 1000)
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		for at := 0; at < len(in); {
			n := copy(p, in[at:])
			at += n
			if _, err := w.walk(p[:n]); err != nil {
				t.Fatal(err)
			}
		}
	}))
}

func FuzzServerWalker(f *testing.F) {
	for _, r := range rectangles {
		if len(r.rect) < 4096 {
			f.Add(join(update(r.rect), []byte{2}, update(r.rect)), uint16(2))
		}
	}
	f.Add(unhex(f, "03 000000 00000006 736563726574 02 0d ff 01 0002 00000003 010203"), uint16(1))
	seedTraces(f, func(tr *captured) {
		if tr.format == pinned {
			f.Add(tr.stream[:min(len(tr.stream), 8<<10)], uint16(100))
		}
	})
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if len(in) > 1<<16 {
			return
		}
		want := walkWhole(in)
		assert.LessOrEqual(t, len(want.out), len(in))
		var parts []int
		for left := len(in); left > 0; left -= parts[len(parts)-1] {
			parts = append(parts, min(left, 1+int(cut)))
		}
		got := walkParts(in, parts, pinned, everything)
		assert.Equal(t, fmt.Sprint(want.err), fmt.Sprint(got.err))
		if want.err == nil {
			assert.Equal(t, want, got)
		}
	})
}

func BenchmarkServerWalker(b *testing.B) {
	tight := rectOf(Rect{0, 0, 300, 200}, EncodingTight, []byte{0x00, 0x80, 0x50}, zeros(10<<10))
	for _, bm := range []struct {
		name string
		rect []byte
	}{
		{"Raw64x64", rectOf(Rect{0, 0, 64, 64}, EncodingRaw, zeros(64*64*4))},
		{"ZRLE20K", rectOf(Rect{0, 0, 300, 200}, EncodingZRLE, u32(20<<10), zeros(20<<10))},
		{"Tight10K", tight},
		{"TightFill", rectOf(Rect{0, 0, 300, 200}, EncodingTight, []byte{0x80}, zeros(3))},
		{"HextileSubrects", rectOf(Rect{0, 0, 16, 16}, EncodingHextile, []byte{14}, zeros(8), []byte{6}, zeros(12))},
		{"HextileMixed", rectOf(Rect{0, 0, 64, 64}, EncodingHextile, bytes.Repeat(join([]byte{2}, zeros(4),
			[]byte{14}, zeros(8), []byte{4}, zeros(8), []byte{0}, []byte{26}, zeros(4), []byte{3}, zeros(18)), 4))},
		{"HextileBackground", rectOf(Rect{0, 0, 64, 64}, EncodingHextile, bytes.Repeat([]byte{2, 0, 0, 0, 0}, 16))},
	} {
		b.Run(bm.name, func(b *testing.B) {
			rects := make([][]byte, max(1, (serverBuffer-8)/len(bm.rect)))
			for i := range rects {
				rects[i] = bm.rect
			}
			in := update(rects...)
			a := newAgreed(640, 480)
			a.allow(everything)
			w := newWalker(a, pinned, 0)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.walk(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
