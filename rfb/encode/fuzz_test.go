package encode_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// FuzzEncoder: whatever the format, the encoding, the size and the pixels, what
// arrives is what was sent; and where the encoder says that it isn't, it will be
// after another update. How far JPEG may be off is for FuzzJPEG.
func FuzzEncoder(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	seeds := 0
	for _, format := range formats {
		for i, p := range painters {
			m := newImage(40, 20)
			p.paint(m, rng)
			b, _ := format.AppendBinary(nil)
			f.Add(b, uint8(i), uint8(i*31), uint16(30+7*i), uint16(20+9*i), m.Pix)
			seeds++
		}
	}
	f.Add([]byte{}, uint8(3), uint8(6), uint16(4000), uint16(2), []byte{1, 2, 3})
	require.NotZero(f, seeds)
	f.Fuzz(func(t *testing.T, format []byte, encoding, hints uint8, width, height uint16, pix []byte) {
		if len(pix) == 0 || width == 0 || height == 0 || int(width)*int(height) > 1<<16 {
			return
		}
		var e encode.Encoder
		var pf rfb.PixelFormat
		if pf.UnmarshalBinary(format) != nil || e.SetPixelFormat(pf) != nil {
			pf = encode.Format()
		}
		r := newRig(t, 1, pf, int(width), int(height))
		r.encoder.SetEncodings([]rfb.Encoding{
			encodings[int(encoding)%len(encodings)],
			rfb.EncodingQuality0 + rfb.Encoding(hints%10), rfb.EncodingCompress0 + rfb.Encoding(hints/10%10),
		})
		for n := 0; n < len(r.screen.Pix); {
			n += copy(r.screen.Pix[n:], pix)
		}
		lossy := r.update(0, 0, int(width), int(height), hints >= 200)
		require.Equal(t, lossy, r.decoder.AnyLossy())
		r.same(256)
		for n := 0; n < len(r.screen.Pix); { // and something like it, with what the streams have in mind
			n += copy(r.screen.Pix[n:], pix[:(len(pix)+1)/2])
		}
		x, y := int(width)/3, int(height)/3
		r.update(x, y, int(width)-x, int(height)-y, false)
		r.update(0, 0, int(width), int(height), true)
		r.same(0)
	})
}
