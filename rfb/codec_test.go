package rfb

import (
	"io"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typed are messages as the specifications write them.
var typed = []struct {
	message Message
	from    Direction
	bytes   string
}{
	{&KeyEvent{true, 0xff0d}, FromViewer, "04 01 0000 0000ff0d"},
	{&PointerEvent{Buttons: 3, X: 77, Y: 88}, FromViewer, "05 03 004d 0058"},
	{&PointerEvent{Buttons: 0x81, X: 1, Y: 2}, FromViewer, "05 81 0001 0002"},
	{&CutText{From: FromViewer, Text: []byte("abc")}, FromViewer, "06 000000 00000003 616263"},
	{&CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardCaps | ClipboardText, Sizes: []uint32{9}}}, FromViewer, "06 000000 fffffff8 01000001 00000009"},
	{&CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardProvide | ClipboardText, Data: []byte{1, 2}}}, FromViewer, "06 000000 fffffffa 10000001 0102"},
	{&EnableContinuousUpdates{true, Rect{1, 2, 3, 4}}, FromViewer, "96 01 0001 0002 0003 0004"},
	{&Fence{FenceRequest | FenceSyncNext, []byte{7}}, FromViewer, "f8 000000 80000004 01 07"},
	{&XVP{1, 3}, FromViewer, "fa 00 01 03"},
	{&SetDesktopSize{800, 600, []Screen{{1, Rect{0, 0, 800, 600}, 2}}}, FromViewer, "fb 00 0320 0258 01 00 00000001 0000 0000 0320 0258 00000002"},
	{&QEMUKeyEvent{true, 0xff0d, 0x1c}, FromViewer, "ff 00 0001 0000ff0d 0000001c"},
	{&QEMUAudioControl{Operation: 1}, FromViewer, "ff 01 0001"},
	{&QEMUAudioControl{2, 3, 2, 44100}, FromViewer, "ff 01 0002 03 02 0000ac44"},

	{&FramebufferUpdate{65535}, FromServer, "00 00 ffff"},
	{&SetColorMapEntries{1, []Color{{1, 2, 3}, {4, 5, 6}}}, FromServer, "01 00 0001 0002 000100020003 000400050006"},
	{&Bell{}, FromServer, "02"},
	{&CutText{From: FromServer, Text: []byte("secret")}, FromServer, "03 000000 00000006 736563726574"},
	{&EndOfContinuousUpdates{}, FromServer, "96"},
	{&QEMUAudio{Operation: 1}, FromServer, "ff 01 0001"},
	{&QEMUAudio{2, []byte{1, 2}}, FromServer, "ff 01 0002 00000002 0102"},
}

func TestTypedMessages(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	for _, tt := range typed {
		seen[reflect.TypeOf(tt.message)] = true
		want := unhex(t, tt.bytes)
		assert.Equal(t, want, wire(t, tt.message), "%T", tt.message)

		parse := ParseClientMessage
		if tt.from == FromServer {
			parse = ParseServerMessage
		}
		got, n, err := parse(append(want[:len(want):len(want)], 99))
		require.NoError(t, err, "%T", tt.message)
		assert.Equal(t, len(want), n, "%T", tt.message)
		assert.Equal(t, tt.message, got)
		for n := range want {
			_, _, err := parse(want[:n])
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "%T, first %d bytes", tt.message, n)
		}
		again := reflect.New(reflect.TypeOf(tt.message).Elem()).Interface().(Message)
		require.NoError(t, ReadMessage(want, again))
		assert.Equal(t, tt.message, again)
		assert.ErrorIs(t, ReadMessage(append(want, 1, 1), again), ErrMalformed)
	}
	for _, messages := range []*[256]message{&clientMessages, &serverMessages} {
		for _, m := range messages {
			if m.new != nil {
				switch v := m.new().(type) {
				case *SetPixelFormat, *SetEncodings, *FramebufferUpdateRequest: // in messages_test.go
				default:
					assert.True(t, seen[reflect.TypeOf(v)], "%T is not tested", v)
				}
			}
		}
	}
}

func TestPointerEventWithFurtherButtons(t *testing.T) {
	m := PointerEvent{Buttons: 0x80, X: 1, Y: 2, Extended: true, More: 1}
	want := unhex(t, "05 80 0001 0002 01")
	assert.Equal(t, want, wire(t, m))
	var again PointerEvent
	require.NoError(t, ReadMessage(want, &again))
	assert.Equal(t, m, again)
	assert.Error(t, ReadMessage(unhex(t, "05 01 0001 0002 01"), &again), "it doesn't announce the byte")
}

func TestTypedMessagesRefuse(t *testing.T) {
	for _, in := range []string{
		"06 000000 fffffffd 010000", "06 000000 80000000", "0c", "0d", "7f", "f9", "fe", "ff 02 0000", "ff 01 0003",
	} {
		_, _, err := ParseClientMessage(unhex(t, in))
		assert.Error(t, err, in)
		assert.NotErrorIs(t, err, io.ErrUnexpectedEOF, in)
	}
	for _, m := range []Message{
		&CutText{}, &CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardCaps | ClipboardText}},
		&Fence{Payload: make([]byte, 65)}, &SetColorMapEntries{Colors: make([]Color, 1<<16)}, &SetDesktopSize{Screens: make([]Screen, 256)},
	} {
		b, err := AppendMessage([]byte("before"), m)
		assert.Error(t, err, "%T", m)
		assert.Equal(t, "before", string(b), "%T", m)
	}
}

// more rectangles: those that ViewOnly doesn't ask for.
var moreRectangles = []struct {
	name string
	rect []byte
}{
	{"ZlibHex", rectOf(Rect{0, 0, 40, 16}, EncodingZlibHex, []byte{2}, zeros(4), []byte{0x20, 0, 3}, zeros(3), []byte{0x48, 0, 2}, zeros(2))},
	{"Ultra", rectOf(Rect{1, 2, 3, 4}, EncodingUltra, u32(5), zeros(5))},
	{"Ultra2", rectOf(Rect{1, 2, 3, 4}, EncodingUltra2, u32(5), zeros(5))},
	{"ZYWRLE", rectOf(Rect{1, 2, 3, 4}, EncodingZYWRLE, u32(5), zeros(5))},
	{"TRLE raw", rectOf(Rect{0, 0, 17, 2}, EncodingTRLE, []byte{0}, zeros(16*2*3), []byte{0}, zeros(2*3))},
	{"TRLE solid", rectOf(Rect{0, 0, 16, 16}, EncodingTRLE, []byte{1}, zeros(3))},
	{"TRLE packed", rectOf(Rect{0, 0, 80, 3}, EncodingTRLE, []byte{2}, zeros(6+2*3), []byte{3}, zeros(9+4*3), []byte{16}, zeros(48+8*3),
		[]byte{127}, zeros(8*3), []byte{1}, zeros(3))},
	{"TRLE runs", rectOf(Rect{0, 0, 32, 16}, EncodingTRLE, []byte{128}, zeros(3), []byte{254}, zeros(3), []byte{0},
		[]byte{130}, zeros(6), []byte{0x80, 254, 1})},
	{"TRLE long run", rectOf(Rect{0, 0, 16, 16}, EncodingTRLE, []byte{128}, zeros(3), []byte{255, 0})},
	{"TRLE palette reused for runs", rectOf(Rect{0, 0, 17, 1}, EncodingTRLE, []byte{130}, zeros(6), []byte{0x81, 15}, []byte{129, 1})},
	{"JPEG", rectOf(Rect{0, 0, 8, 8}, EncodingJPEG, unhexString("ffd8 ffe0 0004 0102 ffda 0002 01ff0002ffd003 ffd9"))},
	{"JPEG, progressive", rectOf(Rect{0, 0, 8, 8}, EncodingJPEG, unhexString("ffd8 ffda 0002 0102 ffc4 0003 00 ffda 0002 03ffff d9"))},
	{"H.264", rectOf(Rect{0, 0, 8, 8}, EncodingH264, u32(3), u32(1), zeros(3))},
	{"TightPNG", rectOf(Rect{0, 0, 8, 8}, EncodingTightPNG, []byte{0xa0, 3}, zeros(3))},
	{"TightPNG fill", rectOf(Rect{0, 0, 8, 8}, EncodingTightPNG, []byte{0x80}, zeros(3))},
	{"Tight without zlib", rectOf(Rect{0, 0, 8, 8}, EncodingTight, []byte{0xa0}, zeros(8*8*3))},
	{"Tight without zlib, two colours", rectOf(Rect{0, 0, 8, 30}, EncodingTight, []byte{0xe0, 1, 1}, zeros(6), zeros(30))},
	{"UltraZip", rectOf(Rect{3, 0, 8, 0}, EncodingUltraZip, u32(3), zeros(3))},
	{"UltraCacheZip", rectOf(Rect{3, 0, 8, 0}, EncodingUltraCacheZip, u32(3), zeros(3))},
	{"UltraSolMonoZip", rectOf(Rect{3, 0, 8, 0}, EncodingUltraSolMonoZip, u32(3), zeros(3))},
	{"UltraQueueZstd", rectOf(Rect{3, 0, 8, 0}, EncodingUltraQueueZstd, u32(3), zeros(3))},
	{"XZ", rectOf(Rect{0, 1, 0, 5}, EncodingXZ, zeros(5))},
	{"XZ, long", rectOf(Rect{0, 1, 1, 2}, EncodingXZ, zeros(65538))},
	{"XZYW", rectOf(Rect{0, 1, 0, 5}, EncodingXZYW, zeros(5))},
	{"Zstd", rectOf(Rect{1, 2, 3, 4}, EncodingZstd, u32(5), zeros(5))},
	{"TightZstd", rectOf(Rect{0, 0, 4, 1}, EncodingTightZstd, []byte{0x50, 0, 12}, zeros(12))},
	{"ZstdHex", rectOf(Rect{0, 0, 40, 16}, EncodingZstdHex, []byte{2}, zeros(4), []byte{0x20, 0, 3}, zeros(3), []byte{0x48, 0, 2}, zeros(2))},
	{"ZstdRLE", rectOf(Rect{1, 2, 3, 4}, EncodingZstdRLE, u32(5), zeros(5))},
	{"ZstdYWRLE", rectOf(Rect{1, 2, 3, 4}, EncodingZstdYWRLE, u32(5), zeros(5))},
	{"UltraCache", rectOf(Rect{}, EncodingUltraCache, zeros(2))},
	{"DesktopName, not clean", rectOf(Rect{}, EncodingDesktopName, u32(5), []byte("vda-\xff"))}, // found by FuzzRectangles
	{"QEMUPointer", rectOf(Rect{1, 0, 0, 0}, EncodingQEMUPointer)},
	{"QEMUKey", rectOf(Rect{}, EncodingQEMUKey)},
	{"QEMUAudio", rectOf(Rect{}, EncodingQEMUAudio)},
	{"ExtendedMouse", rectOf(Rect{}, EncodingExtendedMouse)},
	{"ExtendedDesktopSize", rectOf(Rect{0, 0, 640, 480}, EncodingExtendedDesktopSize, []byte{1, 0, 0, 0}, zeros(16))},
	{"ExtendedDesktopSize, refused", rectOf(Rect{1, 1, 0, 0}, EncodingExtendedDesktopSize, []byte{0, 0, 0, 0})},
	{"CursorWithAlpha", rectOf(Rect{0, 0, 2, 2}, EncodingCursorWithAlpha, u32(0), zeros(16))},
	{"CursorWithAlpha, Tight", rectOf(Rect{0, 0, 2, 2}, EncodingCursorWithAlpha, u32(7), []byte{0x80}, zeros(4))},
	{"VMwareCursor, masks", rectOf(Rect{0, 0, 2, 2}, EncodingVMwareCursor, []byte{0, 0}, zeros(32))},
	{"VMwareCursor, alpha", rectOf(Rect{0, 0, 2, 2}, EncodingVMwareCursor, []byte{1, 0}, zeros(16))},
	{"VMwareCursorState", rectOf(Rect{}, EncodingVMwareCursorState, zeros(2))},
	{"VMwareCursorPos", rectOf(Rect{}, EncodingVMwareCursorPos)},
	{"VMwareKeyRepeat", rectOf(Rect{}, EncodingVMwareKeyRepeat, zeros(10))},
	{"VMwareLEDState", rectOf(Rect{}, EncodingVMwareLEDState, zeros(4))},
	{"VMwareMachineState", rectOf(Rect{}, EncodingVMwareMachineState, zeros(2))},
	{"VMwareDisplayMode", rectOf(Rect{0, 0, 640, 480}, EncodingVMwareDisplayMode, unhexString("20 18 00 01 00ff 00ff 00ff 00 08 10 000000"))},
	{"KeyboardLEDState", rectOf(Rect{1, 0, 0, 0}, EncodingKeyboardLEDState)},
	{"SupportedMessages", rectOf(Rect{0, 0, 64, 0}, EncodingSupportedMessages, zeros(64))},
	{"SupportedEncodings", rectOf(Rect{0, 0, 8, 2}, EncodingSupportedEncodings, zeros(8))},
	{"ServerIdentity", rectOf(Rect{0, 0, 4, 0}, EncodingServerIdentity, []byte("desk"))},
	{"ReplitAudio", rectOf(Rect{}, EncodingReplitAudio, u16(1, 2, 3, 4))},
}

// Each kind of rectangle is read by its type and by the walker, which must
// agree on where it ends, and is written as it was.
func TestTypedRectangles(t *testing.T) {
	seen := make(map[Encoding]bool)
	for _, tt := range append(rectangles[:len(rectangles):len(rectangles)], moreRectangles...) {
		t.Run(tt.name, func(t *testing.T) {
			r, n, err := ParseRectangle(append(tt.rect[:len(tt.rect):len(tt.rect)], 99), pinned)
			require.NoError(t, err)
			seen[r.Encoding] = true
			assert.Equal(t, len(tt.rect), n)
			again, err := r.AppendFormat([]byte("before"), pinned)
			require.NoError(t, err)
			assert.Equal(t, append([]byte("before"), tt.rect...), again)
			for n := 0; n < len(tt.rect); n += 1 + len(tt.rect)/50 {
				_, _, err := ParseRectangle(tt.rect[:n], pinned)
				assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "first %d bytes", n)
			}

			in := join(update(tt.rect, tt.rect), []byte{2})
			for cut, parts := range cuts(len(in)) {
				if len(in) > 1<<16 && cut == "bytes" {
					continue
				}
				w := newInspector(newAgreed(640, 480), pinned)
				rest := append([]byte(nil), in...)
				for _, n := range parts {
					p, err := w.walk(rest[:n])
					require.NoError(t, err, cut)
					assert.Len(t, p, n)
					rest = rest[n:]
				}
				assert.True(t, w.between(), cut)
			}
		})
	}
	for _, e := range encodings {
		if e.number != EncodingLastRect { // TestWalkerEndsAnUpdateAtLastRect
			assert.Equal(t, e.new != nil, seen[e.number], "%s", e.name)
		}
	}
}

func TestTypedRectanglesRefuse(t *testing.T) {
	r := Rect{0, 0, 16, 16}
	for name, in := range map[string][]byte{
		"unknown encoding":           rectOf(r, 4711),
		"no layout":                  rectOf(r, EncodingJRLE),
		"XZ for nothing":             rectOf(Rect{0, 0, 0, 1}, EncodingXZ, zeros(1)),
		"XZ for more than there are": rectOf(Rect{0, 2, 0, 1}, EncodingXZ, zeros(1)),
		"XZ, too long":               rectOf(Rect{0, 1, 256, 1}, EncodingXZ),
		"TRLE kind":                  rectOf(r, EncodingTRLE, []byte{17}),
		"TRLE without palette":       rectOf(r, EncodingTRLE, []byte{127}),
		"TRLE runs, no palette":      rectOf(r, EncodingTRLE, []byte{129}),
		"TRLE run too long":          rectOf(r, EncodingTRLE, []byte{128}, zeros(3), []byte{255, 1}),
		"TRLE index":                 rectOf(r, EncodingTRLE, []byte{130}, zeros(6), []byte{2}),
		"JPEG, no marker":            rectOf(r, EncodingJPEG, []byte{1, 2}),
		"JPEG, short segment":        rectOf(r, EncodingJPEG, unhexString("ffd8 ffe0 0001")),
		"H.264, too long":            rectOf(r, EncodingH264, u32(maxH264+1), u32(0)),
		"cursor in a cursor":         rectOf(r, EncodingCursorWithAlpha, u32(uint32(0xfffffec6))),
		"copied cursor":              rectOf(r, EncodingCursorWithAlpha, u32(1)),
		"VMware cursor":              rectOf(r, EncodingVMwareCursor, []byte{2, 0}),
		"encodings, not by four":     rectOf(Rect{0, 0, 5, 1}, EncodingSupportedEncodings, zeros(5)),
		"TightPNG basic":             rectOf(r, EncodingTightPNG, []byte{0}),
		"ZlibHex mask":               rectOf(r, EncodingZlibHex, []byte{0x80}),
		"display mode of 24 bits":    rectOf(Rect{0, 0, 8, 8}, EncodingVMwareDisplayMode, unhexString("18 18 00 01 00ff 00ff 00ff 00 08 10 000000")),
		"no display":                 rectOf(Rect{}, EncodingVMwareDisplayMode, zeros(16)),
		"extended size of nothing":   rectOf(Rect{}, EncodingExtendedDesktopSize, zeros(4)),
	} {
		w := newInspector(newAgreed(640, 480), pinned)
		_, err := w.walk(update(in))
		assert.Error(t, err, name)
	}
}

// Appending a message must not write to it: many goroutines may share one. The
// race detector sees it.
func TestAppendingLeavesMessagesAlone(t *testing.T) {
	list := SetEncodings{[]Encoding{1, 2, 3}}
	clip := CutText{From: FromViewer, Extended: &Clipboard{Flags: ClipboardCaps | ClipboardText, Sizes: []uint32{9}}}
	var rects []Rectangle
	for _, tt := range append(rectangles[:len(rectangles):len(rectangles)], moreRectangles...) {
		r, _, err := ParseRectangle(tt.rect, pinned)
		require.NoError(t, err)
		rects = append(rects, r)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for _, m := range []Message{&list, &clip} {
				_, err := AppendMessage(nil, m)
				assert.NoError(t, err)
			}
			for _, tt := range typed {
				_, err := AppendMessage(nil, tt.message)
				assert.NoError(t, err)
			}
			for _, r := range rects {
				_, err := r.AppendFormat(nil, pinned)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
}
