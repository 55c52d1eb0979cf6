package encode_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testviewer"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// The zero Encoder sends Raw, in the pixels' own format, and nothing that wasn't
// asked for.
func TestZero(t *testing.T) {
	var e encode.Encoder
	m := newImage(3, 2)
	copy(m.Pix, "bgr.BGR.")
	b := e.BeginUpdate(nil)
	b, lossy := e.AppendRect(b, 1, 2, m, false)
	assert.False(t, lossy)
	for name, add := range map[string]func() ([]byte, bool){
		"CopyRect":            func() ([]byte, bool) { return e.AppendCopyRect(b, rfb.Rect{Width: 1, Height: 1}, 1, 1) },
		"DesktopSize":         func() ([]byte, bool) { return e.AppendDesktopSize(b, 5, 6, nil) },
		"ExtendedDesktopSize": func() ([]byte, bool) { return e.AppendExtendedDesktopSize(b, 1, 1, 5, 6, nil) },
		"Cursor":              func() ([]byte, bool) { return e.AppendCursor(b, encode.Cursor{}) },
		"PointerPos":          func() ([]byte, bool) { return e.AppendPointerPos(b, 5, 6) },
		"DesktopName":         func() ([]byte, bool) { return e.AppendDesktopName(b, "x") },
		"LastRect":            func() ([]byte, bool) { return e.BeginOpenUpdate(b) },
	} {
		out, ok := add()
		assert.False(t, ok, name)
		assert.Equal(t, b, out, name)
	}
	b = e.EndUpdate(b)
	d := testviewer.New(encode.Format(), 10, 10)
	require.NoError(t, d.Decode(b))
	assert.Equal(t, []uint32{'r'<<16 | 'g'<<8 | 'b', 'R'<<16 | 'G'<<8 | 'B', 0}, d.Pixels[21:24])
}

func TestEmpty(t *testing.T) {
	var e encode.Encoder
	assert.Equal(t, "before", string(e.EndUpdate(e.BeginUpdate([]byte("before")))))
	for _, m := range []encode.Image{{}, {Width: 5}, {Height: 5}} {
		b, _ := e.AppendRect(nil, 0, 0, m, false)
		assert.Empty(t, b)
	}
}

// One pixel leaves nothing in the streams of an encoding, so that it may be left out.
func TestPixelIsRaw(t *testing.T) {
	for _, encoding := range []rfb.Encoding{rfb.EncodingTight, rfb.EncodingZRLE, rfb.EncodingHextile} {
		r := newRig(t, 1, encode.Format(), 70, 70, encoding)
		b := r.encoder.BeginUpdate(nil)
		b, lossy := r.encoder.AppendRect(b, 5, 6, newImage(1, 1), false)
		assert.False(t, lossy)
		assert.Equal(t, append([]byte{0, 0, 0, 1, 0, 5, 0, 6, 0, 1, 0, 1, 0, 0, 0, 0}, newImage(1, 1).Pix...), r.encoder.EndUpdate(b))
	}
}

// The first encoding that can be sent is the one.
func TestPreference(t *testing.T) {
	for want, list := range map[rfb.Encoding][]rfb.Encoding{
		rfb.EncodingTight:   asNoVNC,
		rfb.EncodingZRLE:    {rfb.EncodingRRE, rfb.EncodingZRLE, rfb.EncodingTight},
		rfb.EncodingHextile: {rfb.EncodingQuality9, rfb.EncodingCopyRect, rfb.EncodingHextile, rfb.EncodingRaw, rfb.EncodingTight},
		rfb.EncodingRaw:     {rfb.EncodingRRE, rfb.EncodingCursor},
	} {
		r := newRig(t, 1, encode.Format(), 70, 70, rfb.EncodingZRLE)
		r.encoder.SetEncodings(list) // takes the place of what was there
		assert.Equal(t, want, r.encoder.Encoding())
		painters[1].paint(r.screen, r.rng)
		r.update(0, 0, 70, 70, false)
		assert.NotZero(t, r.decoder.Rects[want], want)
		r.same(0)
	}
}

func TestUnderstands(t *testing.T) {
	var e encode.Encoder
	e.SetEncodings(asNoVNC)
	assert.True(t, e.Understands(rfb.EncodingCopyRect))
	assert.False(t, e.Understands(rfb.EncodingRRE), "asked for, but never sent")
	assert.False(t, e.Understands(rfb.EncodingCursor))
}

func TestCopyRect(t *testing.T) {
	r := newRig(t, 1, formats["noVNC"], 100, 80, rfb.EncodingTight, rfb.EncodingCopyRect, rfb.EncodingQuality9)
	painters[4].paint(r.screen, r.rng)
	r.update(0, 0, 100, 80, false)
	b, ok := r.encoder.AppendCopyRect(r.encoder.BeginUpdate(nil), rfb.Rect{X: 10, Y: 5, Width: 80, Height: 70}, 12, 9)
	require.True(t, ok)
	before := append([]uint32(nil), r.decoder.Pixels...)
	require.NoError(t, r.decoder.Decode(r.encoder.EndUpdate(b)))
	for y := range 70 {
		assert.Equal(t, before[(9+y)*100+12:][:80], r.decoder.Pixels[(5+y)*100+10:][:80])
	}
}

// A level that changes in the middle of the streams changes nothing else.
func TestCompressLevels(t *testing.T) {
	for _, enc := range encodings[2:] {
		r := newRig(t, 1, formats["noVNC"], 70, 66, enc)
		for level := range rfb.Encoding(10) {
			for range 2 {
				r.encoder.SetEncodings([]rfb.Encoding{enc, rfb.EncodingCompress0 + level})
				for _, p := range painters {
					p.paint(r.screen, r.rng)
					r.update(0, 0, 70, 66, false)
					r.same(0)
				}
			}
		}
	}
}

// A format that changes between updates counts from the next one on.
func TestFormatChanges(t *testing.T) {
	for _, enc := range encodings {
		r := newRig(t, 1, formats["noVNC"], 80, 70, enc)
		for _, f := range formats {
			require.NoError(t, r.encoder.SetPixelFormat(f))
			r.decoder.Format = f
			painters[2].paint(r.screen, r.rng)
			r.update(0, 0, 80, 70, false)
			r.same(0)
		}
	}
}

func TestColorMap(t *testing.T) {
	r := newRig(t, 1, formats["colour map"], 30, 20, rfb.EncodingTight)
	paint(r.screen, r.rng, func(x, y int) uint32 { return rgb(float64(x*8), float64(y*12), 255) })
	r.update(0, 0, 30, 20, false)
	r.same(0)
	require.Len(t, r.decoder.Colors, 216)
	for i, c := range r.decoder.Colors {
		r.screen.Pix[0], r.screen.Pix[1], r.screen.Pix[2] = byte(c.Blue>>8), byte(c.Green>>8), byte(c.Red>>8)
		assert.Equal(t, uint32(i), r.decoder.Quantized(r.screen.Pix[2], r.screen.Pix[1], r.screen.Pix[0]), "each entry stands for itself")
	}
	assert.Equal(t, rfb.Color{}, r.decoder.Colors[0])
	assert.Equal(t, rfb.Color{Red: 65535, Green: 65535, Blue: 65535}, r.decoder.Colors[215])
	r.decoder.Colors = nil
	r.update(0, 0, 30, 20, false)
	assert.Nil(t, r.decoder.Colors, "once is enough")
}

func TestPixelFormats(t *testing.T) {
	var e encode.Encoder
	for name, f := range map[string]rfb.PixelFormat{
		"zero":            {},
		"24 bits":         trueColor(24, 24, false, 255, 255, 255, 0, 8, 16),
		"no depth":        trueColor(32, 0, false, 255, 255, 255, 0, 8, 16),
		"depth":           trueColor(16, 24, false, 31, 63, 31, 11, 5, 0),
		"does not fit":    trueColor(16, 16, false, 255, 255, 255, 0, 8, 16),
		"shift of 200":    trueColor(32, 24, false, 255, 255, 255, 200, 8, 16),
		"overlap":         trueColor(32, 24, false, 255, 255, 255, 0, 7, 16),
		"no power of two": trueColor(32, 24, false, 254, 255, 255, 0, 8, 16),
		"wide colour map": {BitsPerPixel: 16, Depth: 16},
	} {
		assert.ErrorIs(t, e.SetPixelFormat(f), rfb.ErrMalformed, name)
	}
	m := newImage(1, 1)
	b, _ := e.AppendRect(nil, 0, 0, m, false)
	assert.Len(t, b, 12+4, "the format is what it was")
}

func TestDesktopSize(t *testing.T) {
	r := newRig(t, 1, encode.Format(), 10, 10, rfb.EncodingDesktopSize)
	b, ok := r.encoder.AppendDesktopSize(r.encoder.BeginUpdate(nil), 1920, 1080, nil)
	require.True(t, ok)
	require.NoError(t, r.decoder.Decode(r.encoder.EndUpdate(b)))
	assert.Equal(t, []int{1920, 1080}, []int{r.decoder.Width, r.decoder.Height})
	assert.Empty(t, r.decoder.Screens)

	r.encoder.SetEncodings([]rfb.Encoding{rfb.EncodingDesktopSize, rfb.EncodingExtendedDesktopSize})
	b, ok = r.encoder.AppendDesktopSize(r.encoder.BeginUpdate(nil), 640, 480, nil)
	require.True(t, ok)
	require.NoError(t, r.decoder.Decode(r.encoder.EndUpdate(b)))
	assert.Equal(t, []int{640, 480}, []int{r.decoder.Width, r.decoder.Height})
	assert.Equal(t, []rfb.Screen{{Rect: rfb.Rect{Width: 640, Height: 480}}}, r.decoder.Screens)

	screens := []rfb.Screen{{ID: 7, Rect: rfb.Rect{Width: 300, Height: 480}}, {ID: 9, Rect: rfb.Rect{X: 300, Width: 340, Height: 480}}}
	b, ok = r.encoder.AppendExtendedDesktopSize(
		r.encoder.BeginUpdate(nil), encode.ReasonViewer, encode.ResizeProhibited, 640, 480, screens)
	require.True(t, ok)
	require.NoError(t, r.decoder.Decode(r.encoder.EndUpdate(b)))
	assert.Equal(t, rfb.Rect{X: 1, Y: 1, Width: 640, Height: 480}, r.decoder.Desktop)
	assert.Equal(t, screens, r.decoder.Screens)
}

func TestDesktopName(t *testing.T) {
	r := newRig(t, 1, encode.Format(), 10, 10, rfb.EncodingDesktopName)
	b, ok := r.encoder.AppendDesktopName(r.encoder.BeginUpdate(nil), "vda1:1, Bildschirm für \xff alle")
	require.True(t, ok)
	b = r.encoder.EndUpdate(b)
	require.NoError(t, r.decoder.Decode(b))
	assert.Equal(t, "vda1:1, Bildschirm für ? alle", r.decoder.Name)
	requireParses(t, b, encode.Format())
}

func TestOpenUpdate(t *testing.T) {
	r := newRig(t, 1, encode.Format(), 10, 10, rfb.EncodingLastRect)
	b, ok := r.encoder.BeginOpenUpdate([]byte{})
	require.True(t, ok)
	sent := append([]byte(nil), b...) // and begun anew
	b, _ = r.encoder.AppendRect(b[:0], 0, 0, r.screen, false)
	sent = append(sent, r.encoder.EndUpdate(b)...)
	require.NoError(t, r.decoder.Decode(sent))
	assert.Equal(t, map[rfb.Encoding]int{rfb.EncodingRaw: 1, rfb.EncodingLastRect: 1}, r.decoder.Rects)
}

// More rectangles than an update can have make another one.
func TestManyRects(t *testing.T) {
	r := newRig(t, 1, encode.Format(), 10, 10)
	b := r.encoder.BeginUpdate(nil)
	for range 70000 {
		b, _ = r.encoder.AppendRect(b, 9, 9, r.screen.Sub(0, 0, 1, 1), false)
	}
	require.NoError(t, r.decoder.Decode(r.encoder.EndUpdate(b)))
	assert.Equal(t, 70000, r.decoder.Rects[rfb.EncodingRaw])
}

func TestBeyond(t *testing.T) {
	var e encode.Encoder
	assert.Panics(t, func() { e.AppendRect(nil, 65536, 0, newImage(1, 1), false) })
	assert.Panics(t, func() { e.AppendRect(nil, -1, 0, newImage(1, 1), false) })
	assert.Panics(t, func() { newImage(3, 3).Sub(1, 1, 3, 1) })
}

// What goes out as JPEG is told, and nothing else.
func TestLossy(t *testing.T) {
	r := newRig(t, 1, formats["noVNC"], 1000, 300, asNoVNC...)
	painters[1].paint(r.screen, r.rng)
	painters[5].paint(r.screen.Sub(64, 64, 512, 128), r.rng)
	assert.True(t, r.update(0, 0, 1000, 300, false))
	assert.Equal(t, []rfb.Rect{{X: 64, Y: 64, Width: 512, Height: 128}}, r.encoder.Lossy(), "one picture of all the tiles")
	r.same(10)
	assert.False(t, r.update(64, 64, 512, 128, true))
	assert.Empty(t, r.encoder.Lossy())
	r.same(0)
}

// Neighbours that are alike go into one rectangle.
func TestMerged(t *testing.T) {
	r := newRig(t, 1, formats["noVNC"], 1900, 1000, asNoVNC...)
	r.update(0, 0, 1900, 1000, false)
	assert.Equal(t, 1, r.decoder.Rects[rfb.EncodingTight], "a black screen")
	painters[1].paint(r.screen.Sub(0, 100, 1900, 20), r.rng)
	r.update(0, 100, 1900, 20, false)
	assert.Equal(t, 2, r.decoder.Rects[rfb.EncodingTight], "a line of text")
	r.same(0)
	wide := newRig(t, 1, formats["noVNC"], 5000, 66, asNoVNC...)
	for _, p := range painters { // the decoder sees to the limits
		p.paint(wide.screen, wide.rng)
		wide.update(0, 0, 5000, 66, false)
		wide.update(0, 0, 5000, 66, true)
		wide.same(0)
	}
}

// Smooth light is sent as JPEG, however few its colours are: a palette's tiles
// between pictures would take many times the bytes, and tear the pictures apart.
func TestGentle(t *testing.T) {
	r := newRig(t, 1, formats["noVNC"], 1280, 192, asNoVNC...)
	paint(r.screen, r.rng, func(x, y int) uint32 { return uint32(60+x%64/8+y%64/8) * 0x010101 })
	b, lossy := r.encoder.AppendRect(nil, 0, 0, r.screen, false)
	assert.True(t, lossy)
	assert.Equal(t, []rfb.Rect{{Width: 1280, Height: 192}}, r.encoder.Lossy())
	assert.Less(t, len(b), 6000)
}

// One row is too little to tell text from a photograph.
func TestCrowdedRow(t *testing.T) {
	r := newRig(t, 1, formats["noVNC"], 64, 13, asNoVNC...)
	paint(r.screen, r.rng, func(x, y int) uint32 {
		if y > 2 {
			return 0xffffff
		}
		return uint32(x) * 0x037713
	})
	assert.False(t, r.update(0, 0, 64, 13, false))
	r.same(0)
}
