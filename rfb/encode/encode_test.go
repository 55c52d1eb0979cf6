package encode_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testviewer"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// A rig is an encoder, the screen it encodes, and a decoder.
type rig struct {
	t       testing.TB
	rng     *rand.Rand
	encoder encode.Encoder
	screen  encode.Image
	decoder *testviewer.Decoder
}

func newRig(t testing.TB, seed uint64, f rfb.PixelFormat, width, height int, encodings ...rfb.Encoding) *rig {
	r := &rig{t: t, rng: rand.New(rand.NewPCG(seed, 1)), screen: newImage(width, height), decoder: testviewer.New(f, width, height)}
	require.NoError(t, r.encoder.SetPixelFormat(f))
	r.encoder.SetEncodings(encodings)
	return r
}

// update sends a part of the screen.
func (r *rig) update(x, y, width, height int, lossless bool) (lossy bool) {
	b := r.encoder.BeginUpdate(nil)
	b, lossy = r.encoder.AppendRect(b, x, y, r.screen.Sub(x, y, width, height), lossless)
	b = r.encoder.EndUpdate(b)
	require.NoError(r.t, r.decoder.Decode(b))
	requireParses(r.t, b, r.decoder.Format)
	return lossy
}

// requireParses: package rfb, and so its relay, finds the same ends of messages
// and rectangles.
func requireParses(t testing.TB, b []byte, f rfb.PixelFormat) {
	for len(b) > 0 {
		m, n, err := rfb.ParseServerMessage(b)
		require.NoError(t, err)
		b = b[n:]
		if u, ok := m.(*rfb.FramebufferUpdate); ok {
			for range u.Rectangles {
				_, n, err := rfb.ParseRectangle(b, f)
				require.NoError(t, err)
				b = b[n:]
			}
		}
	}
}

// same compares what the viewer has with the screen: the same pixels where they
// didn't come as JPEG, and there pixels that are off by so many levels at most
// on average.
func (r *rig) same(off float64) {
	r.t.Helper()
	d, used := r.decoder, r.decoder.Used()
	sum, n := 0.0, 0
	for y := range r.screen.Height {
		for x := range r.screen.Width {
			p := r.screen.Pix[y*r.screen.Stride+4*x:]
			got, want := d.Pixels[y*d.Width+x]&used, d.Quantized(p[2], p[1], p[0])
			if d.Lossy[y*d.Width+x] {
				g := d.Parts(got)
				for i, v := range d.Parts(want) {
					sum += math.Abs(v - g[i])
					n++
				}
			} else if got != want {
				require.Failf(r.t, "another pixel", "at %d,%d: %#x, want %#x", x, y, got, want)
			}
		}
	}
	if n > 0 {
		assert.Less(r.t, sum/float64(n), off, "levels of 255")
	}
}

var encodings = []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingHextile, rfb.EncodingZRLE, rfb.EncodingTight}

// Whatever the format, the encoding and the screen, a viewer sees the same.
func TestLossless(t *testing.T) {
	for name, f := range formats {
		for _, enc := range encodings {
			t.Run(fmt.Sprintf("%s %v", name, enc), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, 1, f, 100, 70, enc)
				for _, p := range painters {
					p.paint(r.screen, r.rng)
					assert.False(t, r.update(0, 0, 100, 70, false))
					r.same(0)
					p.paint(r.screen.Sub(3, 5, 90, 20), r.rng)
					r.update(3, 5, 90, 20, true)
					p.paint(r.screen.Sub(99, 0, 1, 70), r.rng)
					r.update(99, 0, 1, 70, true)
					p.paint(r.screen.Sub(0, 69, 5, 1), r.rng)
					r.update(0, 69, 5, 1, true)
					r.same(0)
				}
			})
		}
	}
}

// Each way of writing pixels that the encodings have is used.
func TestKinds(t *testing.T) {
	r := newRig(t, 1, encode.Format(), 300, 200, rfb.EncodingTight, rfb.EncodingQuality0+6)
	kinds := map[string]int{}
	for _, enc := range encodings {
		for _, lossless := range []bool{false, true} {
			r.encoder.SetEncodings([]rfb.Encoding{enc, rfb.EncodingQuality0 + 6})
			for _, p := range painters {
				p.paint(r.screen, r.rng)
				r.update(0, 0, 300, 200, lossless)
			}
		}
	}
	for k, n := range r.decoder.Kinds {
		kinds[k] += n
	}
	t.Log(kinds)
	for _, k := range []string{
		"hextile raw", "hextile solid", "hextile subrects, coloured true", "hextile subrects, coloured false",
		"tight fill", "tight mono", "tight palette", "tight copy", "tight jpeg",
		"zrle raw", "zrle solid", "zrle packed", "zrle runs, palette true", "zrle runs, palette false",
	} {
		assert.NotZero(t, kinds[k], k)
	}
}

func TestJPEG(t *testing.T) {
	for name, f := range formats {
		for quality := range rfb.Encoding(10) {
			if name != "noVNC" && quality != 6 {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", name, quality), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, 1, f, 200, 80, rfb.EncodingTight, rfb.EncodingQuality0+quality)
				for _, p := range painters {
					p.paint(r.screen, r.rng)
					lossy := r.update(0, 0, 200, 80, false)
					if p.name == "flat" || p.name == "mono text" || p.name == "stripes" || f.BitsPerPixel == 8 {
						assert.False(t, lossy)
					} else if p.name == "photo" {
						assert.True(t, lossy)
					}
					assert.Equal(t, lossy, r.decoder.Rects[rfb.EncodingTight] > 0 && r.decoder.AnyLossy())
					if p.name != "noise" { // of which half of the resolution of colours makes something else
						r.same(22)
					}
					assert.False(t, r.update(0, 0, 200, 80, true))
					r.same(0)
				}
			})
		}
	}
}

// Once an encoder has seen an update of each kind, it takes no more memory.
func TestAllocatesNothing(t *testing.T) {
	for _, enc := range encodings {
		r := newRig(t, 1, formats["noVNC"], 300, 200, enc, rfb.EncodingCopyRect, rfb.EncodingQuality0+6)
		var screens []encode.Image
		for _, p := range painters {
			m := newImage(300, 200)
			p.paint(m, r.rng)
			screens = append(screens, m)
		}
		var buf []byte
		all := func() {
			for _, m := range screens {
				for _, lossless := range []bool{false, true} {
					buf = r.encoder.BeginUpdate(buf[:0])
					buf, _ = r.encoder.AppendCopyRect(buf, rfb.Rect{Width: 10, Height: 10}, 5, 5)
					buf, _ = r.encoder.AppendRect(buf, 0, 0, m, lossless)
					buf = r.encoder.EndUpdate(buf)
				}
			}
		}
		all()
		assert.Zero(t, testing.AllocsPerRun(5, all), "%v", enc)
	}
}
