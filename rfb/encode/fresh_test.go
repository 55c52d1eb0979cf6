package encode_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testviewer"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// With FreshStreams each of Tight's rectangles makes sense to whoever has seen none before, and says so to
// whoever has.
func TestFreshStreams(t *testing.T) {
	var e encode.Encoder
	e.SetEncodings([]rfb.Encoding{rfb.EncodingTight, rfb.EncodingFreshStreams})
	old := testviewer.New(encode.Format(), 64, 64)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		b := e.BeginUpdate(nil)
		pictures := map[int]encode.Image{}
		for i, colours := range []int{2, 50, 1 << 24} { // streams 1, 2 and 0
			m := newImage(16, 16)
			for at := 0; at < len(m.Pix); at += 4 {
				c := random.IntN(colours) * 5
				m.Pix[at], m.Pix[at+1], m.Pix[at+2] = byte(c), byte(c>>8), byte(c>>16)
			}
			pictures[i*16] = m
			b, _ = e.AppendRect(b, i*16, 0, m, true)
		}
		b = e.EndUpdate(b)
		fresh := testviewer.New(encode.Format(), 64, 64)
		require.NoError(t, old.Decode(b))
		require.NoError(t, fresh.Decode(b))
		assert.Equal(t, old.Pixels[:64*16], fresh.Pixels[:64*16])
		for x, m := range pictures {
			assert.Equal(t, uint32(m.Pix[2])<<16|uint32(m.Pix[1])<<8|uint32(m.Pix[0]), fresh.Pixels[x]&0xffffff)
		}
	}
}
