package trace

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// hextile is an update with one rectangle of 1920 x 1080 pixels, all of whose tiles
// have many subrectangles.
func hextile() []byte {
	const subrects = 100
	tile := append([]byte{2 | 4 | 8, 1, 2, 3, 4, 5, 6, 7, 8, subrects}, make([]byte, 2*subrects)...)
	return update(rectOf(rfb.Rect{Width: 1920, Height: 1080}, rfb.EncodingHextile, bytes.Repeat(tile, 120*68)))
}

// feed feeds a server's stream in pieces and returns how many events came of it.
func feed(t testing.TB, d *Decoder, stream []byte, piece int) (events int) {
	for len(stream) > 0 {
		n := min(piece, len(stream))
		for _, err := range d.Feed(Chunk{From: rfb.FromServer, Data: stream[:n]}) {
			require.NoError(t, err)
			events++
		}
		stream = stream[n:]
	}
	return events
}

// However a stream is cut, its bytes are looked at twice: to find a rectangle's
// end, and to read it.
func TestDecoderIsLinear(t *testing.T) {
	many := update()
	many[2], many[3] = 0x10, 0
	for i := range 0x1000 {
		many = append(many, rectOf(rfb.Rect{X: uint16(i), Width: 1, Height: 1}, rfb.EncodingRaw, zeros(4))...)
	}
	text := wire(t, rfb.CutText{From: rfb.FromServer, Text: zeros(1 << 20)})
	for name, stream := range map[string][]byte{"one large rectangle": hextile(), "many small ones": many, "a large message": text} {
		for _, piece := range []int{1, 7, 4 << 10, len(stream)} {
			d := NewDecoder(pinned)
			events := feed(t, d, stream, piece)
			require.NoError(t, d.End())
			assert.LessOrEqual(t, d.examined, int64(2*len(stream)+64*events), "%s in pieces of %d bytes", name, piece)
		}
	}
}

// The first eighth of a rectangle, as it comes over a network.
func BenchmarkDecoder(b *testing.B) {
	whole := hextile()
	for _, part := range []int{8, 1} {
		stream := whole[:len(whole)/part]
		b.Run(fmt.Sprintf("1 of %d", part), func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				feed(b, NewDecoder(pinned), stream, 4<<10)
			}
		})
	}
}

// A reader and a writer need memory for a chunk, however long the file is.
func TestStreamingTakesNoMemory(t *testing.T) {
	const chunks, size = 4096, 64 << 10
	r, w := io.Pipe()
	go func() {
		out, err := NewWriter(w, Header{})
		for range chunks {
			if err == nil {
				err = out.Write(Chunk{From: rfb.FromServer, Data: zeros(size)})
			}
		}
		w.CloseWithError(err)
	}()
	in, err := NewReader(r)
	require.NoError(t, err)
	n, most := 0, uint64(0)
	for c, err := range in.Chunks() {
		require.NoError(t, err)
		require.Len(t, c.Data, size)
		if n++; n%1024 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	assert.Equal(t, chunks, n)
	assert.Less(t, most, uint64(chunks*size/4), "of 256 MiB")
}
