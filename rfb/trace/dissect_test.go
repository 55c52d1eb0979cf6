package trace

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/vendors"
)

// What was captured is encoded to the same bytes again, and the walker ends
// where the dissector does.
func TestCapturedMessagesAreEncodedAgain(t *testing.T) {
	t.Parallel()
	for name, tr := range readTraces(t) {
		t.Run(name, func(t *testing.T) {
			streams := map[rfb.Direction][]byte{rfb.FromViewer: tr.Stream(rfb.FromViewer), rfb.FromServer: tr.Stream(rfb.FromServer)}
			format := tr.shake.Init.Format
			for e, err := range tr.Events() {
				require.NoError(t, err)
				at := streams[e.From][e.Offset:][:e.Len]
				switch {
				case e.Message != nil:
					if m, ok := e.Message.(*rfb.SetPixelFormat); ok {
						format = m.Format
					}
					again, err := rfb.AppendMessage(nil, e.Message)
					require.NoError(t, err, "%v", e)
					assert.Len(t, again, e.Len, "%v", e) // padding may have been anything
				case e.Vendor != nil:
					again, err := vendors.AppendMessage(nil, e.Vendor)
					require.NoError(t, err, "%v", e)
					assert.Len(t, again, e.Len, "%v", e)
				case e.Rectangle != nil && tr.one:
					again, err := e.Rectangle.AppendFormat(nil, format)
					require.NoError(t, err, "%v", e)
					require.Equal(t, at, again, "%v", e)
				}
			}
		})
	}
}

// golden compares text with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *updateFiles {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "do: go test ./rfb/trace -update")
	assert.Equal(t, string(want), got, "%s; if it is to change: go test ./rfb/trace -update", file)
}

// listing is a trace message by message; many rectangles of one update are
// told by the first and the last.
func listing(t *testing.T, tr *Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server: %s\nviewer: %s\n", tr.Server, tr.Viewer)
	var held []string
	flush := func() {
		if n := len(held); n > 6 {
			held = append(append(held[:3:3], fmt.Sprintf("%30s%d more rectangles", "", n-6)), held[n-3:]...)
		}
		for _, line := range held {
			b.WriteString(line + "\n")
		}
		held = nil
	}
	for e, err := range tr.Events() {
		require.NoError(t, err)
		if e.Rectangle == nil {
			flush()
		}
		held = append(held, e.String())
	}
	flush()
	return b.String()
}

// What is in each trace, and some of them message by message.
func TestGoldenListings(t *testing.T) {
	t.Parallel()
	all := readTraces(t)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		tr := all[name]
		type total struct{ n, bytes int }
		totals := make(map[string]total)
		for e, err := range tr.Events() {
			require.NoError(t, err)
			key := fmt.Sprintf("%v %s", e.From, e.Name())
			if e.Rectangle != nil {
				key = "  " + e.Name()
			}
			totals[key] = total{totals[key].n + 1, totals[key].bytes + e.Len}
		}
		fmt.Fprintf(&b, "%s\n", name)
		for _, key := range slices.Sorted(maps.Keys(totals)) {
			fmt.Fprintf(&b, "    %-36s %5d %8d bytes\n", key, totals[key].n, totals[key].bytes)
		}
	}
	golden(t, traces+"/summary.txt", b.String())
	if *updateFiles {
		old, err := filepath.Glob(traces + "/*/*.txt")
		require.NoError(t, err)
		for _, file := range old {
			require.NoError(t, os.Remove(file))
		}
	}
	for name, tr := range all {
		scenario := filepath.Base(name)
		if strings.HasPrefix(scenario, "viewer-") || strings.HasPrefix(scenario, "resize") || strings.HasPrefix(scenario, "tight-jpeg") {
			golden(t, filepath.Join(traces, name+".txt"), listing(t, tr.Trace))
		}
	}
}

// A trace of one session, small enough to see all of it.
func smallTrace(t testing.TB) *Trace {
	ms := time.Millisecond
	return &Trace{Header: Header{"a server", "a viewer", "small"}, Chunks: []Chunk{
		{rfb.FromServer, 0, []byte("RFB 003.008\n")},
		{rfb.FromViewer, 1 * ms, []byte("RFB 003.008\n")},
		{rfb.FromServer, 2 * ms, []byte{2, 1, 2}},
		{rfb.FromViewer, 3 * ms, []byte{1}},
		{rfb.FromServer, 4 * ms, u32(0)},
		{rfb.FromViewer, 5 * ms, join([]byte{1}, noVNC(t))},
		{rfb.FromServer, 6 * ms, join(wire(t, desktop), update(rectOf(rfb.Rect{X: 1, Y: 2, Width: 1, Height: 1}, rfb.EncodingRaw, zeros(2))))},
		{rfb.FromServer, 7 * ms, []byte{0, 0, 2}},
		{rfb.FromViewer, 8 * ms, unhex(t, "04 01 0000 0000ff0d")},
	}}
}

func TestEvents(t *testing.T) {
	tr := smallTrace(t)
	var got []string
	for e, err := range tr.Events() {
		require.NoError(t, err)
		got = append(got, e.String())
	}
	assert.Equal(t, []string{
		`   0.006 S>V        0     47  Handshake RFB 003.008 None 640x480 32/24 le 255,255,255 at 16,8,0 "desk"`,
		`   0.006 V>S       14     20  SetPixelFormat Format=32/24_le_255,255,255_at_0,8,16`,
		`   0.006 V>S       34    104  SetEncodings Encodings=[CopyRect,H.264,Tight,TightPNG,ZRLE,JPEG,Hextile,RRE,Zlib,Raw,Quality6,Compress2,DesktopSize,LastRect,QEMUKey,LEDState,ExtendedDesktopSize,xvp,Fence,ContinuousUpdates,DesktopName,ExtendedClipboard,ExtendedMouse,VMwareCursor,Cursor]`,
		`   0.006 V>S      138     10  FramebufferUpdateRequest Rect=640x480+0+0`,
		`   0.006 S>V       47      4  FramebufferUpdate Rectangles=1`,
		`   0.007 S>V       51     16    Raw 1x1+1+2 Pixels=4_bytes`,
		`   0.007 S>V       67      1  Bell`,
		`   0.008 V>S      148      8  KeyEvent Down=true Keysym=0xff0d`,
	}, got)
}

func TestEventsTellWhereATraceEndsEarly(t *testing.T) {
	tr := smallTrace(t)
	tr.Chunks = tr.Chunks[:7]
	var last error
	var where Event
	for e, err := range tr.Events() {
		where, last = e, err
	}
	require.ErrorIs(t, last, io.ErrUnexpectedEOF)
	assert.Equal(t, rfb.FromServer, where.From)
	assert.EqualValues(t, 51, where.Offset)

	cut, err := tr.Trim()
	require.NoError(t, err)
	assert.EqualValues(t, 4+14, cut, "the head of an update without its rectangle goes too")
	for _, err := range tr.Events() {
		assert.NoError(t, err)
	}
}

// A trace that isn't understood is kept as it is: what is in it has to be looked
// at by other means.
func TestTrimKeepsWhatItCantRead(t *testing.T) {
	server := func(b ...byte) Chunk { return Chunk{rfb.FromServer, 0, b} }
	viewer := func(b ...byte) Chunk { return Chunk{rfb.FromViewer, 0, b} }
	versions := []Chunk{server([]byte("RFB 003.008\n")...), viewer([]byte("RFB 003.008\n")...)}
	for name, tt := range map[string]struct {
		more []Chunk
		want error
		at   int64
	}{
		"TLS":                   {[]Chunk{server(1, 18), viewer(18), viewer(22, 3, 1)}, rfb.ErrSecurity, 13},
		"a handshake that ends": {[]Chunk{server(1, 1)}, io.ErrUnexpectedEOF, 12},
		"an unknown message":    {append(slices.Clone(smallTrace(t).Chunks[2:]), server(99, 1, 2)), rfb.ErrMalformed, 68},
	} {
		tr := &Trace{Chunks: append(slices.Clone(versions), tt.more...)}
		before := slices.Clone(tr.Chunks)
		cut, err := tr.Trim()
		assert.ErrorIs(t, err, tt.want, name)
		assert.Zero(t, cut, name)
		assert.Equal(t, before, tr.Chunks, name)
		p, ok := errors.AsType[*rfb.ProtocolError](err)
		require.True(t, ok, name)
		assert.Equal(t, tt.at, p.Offset, "%s: %v", name, err)
	}
}

func TestEventsTellWhatTheyCantRead(t *testing.T) {
	tr := smallTrace(t)
	tr.Chunks = append(tr.Chunks, Chunk{rfb.FromViewer, 0, []byte{127}})
	var last error
	for _, err := range tr.Events() {
		last = err
	}
	require.ErrorIs(t, last, rfb.ErrMalformed)
	assert.ErrorContains(t, last, "client message 127 has no known layout")
	var p *rfb.ProtocolError
	require.ErrorAs(t, last, &p)
	assert.EqualValues(t, 156, p.Offset)
}

// A SetPixelFormat after a fence counts from the server's answer on.
func TestEventsFollowThePixelFormat(t *testing.T) {
	one := func(n int) []byte {
		return update(rectOf(rfb.Rect{X: 1, Y: 2, Width: 1, Height: 1}, rfb.EncodingRaw, zeros(n)))
	}
	tr := smallTrace(t)
	tr.Chunks = append(tr.Chunks[:8],
		Chunk{rfb.FromViewer, 0, join(wire(t, rfb.Fence{Flags: rfb.FenceRequest | rfb.FenceSyncNext}), wire(t, rfb.SetPixelFormat{Format: format8}))},
		Chunk{rfb.FromServer, 0, join(one(4), wire(t, rfb.Fence{Flags: rfb.FenceSyncNext}), one(1))},
		Chunk{rfb.FromViewer, 0, wire(t, rfb.SetPixelFormat{Format: format16})},
		Chunk{rfb.FromServer, 0, one(2)},
	)
	for _, err := range tr.Events() {
		require.NoError(t, err)
	}
}

// UltraVNC's XZ counts as as many rectangles as are in it.
func TestOneRectangleStandsForMany(t *testing.T) {
	tr := smallTrace(t)
	say := func(b []byte) { tr.Chunks = append(tr.Chunks, Chunk{rfb.FromServer, time.Second, b}) }
	xz := rectOf(rfb.Rect{X: 0, Y: 2, Width: 0, Height: 5}, rfb.EncodingXZ, zeros(5))
	say(join([]byte{0, 0, 0, 3}, xz, rectOf(rfb.Rect{}, rfb.EncodingPointerPos), []byte{2}))
	var names []string
	for e, err := range tr.Events() {
		require.NoError(t, err)
		names = append(names, e.Name())
	}
	assert.Equal(t, []string{"XZ", "PointerPos", "Bell"}, names[len(names)-3:])

	say(join([]byte{0, 0, 0, 1}, xz))
	var last error
	for _, last = range tr.Events() {
	}
	assert.ErrorIs(t, last, rfb.ErrMalformed)
}

// However large a message is and however it is cut, its parts are looked at a
// few times only.
func TestDecoderReadsALargeMessageOnce(t *testing.T) {
	list := vendors.TightFileList{Files: make([]vendors.TightFile, 65535), Names: make([]byte, 65535)}
	big, err := vendors.AppendMessage(nil, &list)
	require.NoError(t, err)
	reads := 0
	d := NewDecoder(pinned)
	for i := range big {
		before := d.enough[rfb.FromServer]
		for _, err := range d.Feed(Chunk{From: rfb.FromServer, Data: big[i : i+1]}) {
			require.NoError(t, err)
		}
		if d.enough[rfb.FromServer] != before {
			reads++
		}
	}
	assert.Empty(t, d.streams[rfb.FromServer])
	assert.LessOrEqual(t, reads, 10)
}
