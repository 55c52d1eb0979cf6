package capture

import (
	"errors"
	"image"
	"io"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// tightJPEG is the upper half of a Tight rectangle's first byte that says JPEG.
const tightJPEG = 9

// parts reads one update with parts in Tight and returns where each is, those of JPEG
// first.
func (r *running) parts(t *testing.T, rest []byte) (jpeg, exact []image.Rectangle, left []byte) {
	t.Helper()
	b := rest
	more := func() {
		chunk := make([]byte, 1<<16)
		n, err := r.r.Read(chunk)
		require.NoError(t, err, r.stderr.String())
		b = append(b, chunk[:n]...)
	}
	for len(b) < 4 {
		more()
	}
	n := int(b[2])<<8 | int(b[3])
	for b = b[4:]; n > 0; {
		rect, size, err := rfb.ParseRectangle(b, encode.Format())
		if errors.Is(err, io.ErrUnexpectedEOF) {
			more()
			continue
		}
		require.NoError(t, err)
		b = b[size:]
		n--
		where := image.Rect(int(rect.Rect.X), int(rect.Rect.Y), int(rect.Rect.X+rect.Rect.Width), int(rect.Rect.Y+rect.Rect.Height))
		switch body := rect.Body.(type) {
		case *rfb.Tight:
			if body.Control>>4 == tightJPEG {
				jpeg = append(jpeg, where)
			} else {
				exact = append(exact, where)
			}
		default:
			if rect.Encoding == rfb.EncodingLastRect {
				return jpeg, exact, b
			}
		}
	}
	return jpeg, exact, b
}

// What was sent as JPEG is sent without loss once it has been still for a second, all
// of it and once.
func TestStillPhotographsBecomeSharp(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
	photo := image.Rect(30, 40, 30+256, 40+192)
	p := newPainter(t, d, photo)
	noise := make([]byte, 4*256*64)
	for i := range noise {
		noise[i] = byte(p.rng.IntN(256))
	}
	for y := 0; y < photo.Dy(); y += 64 {
		xproto.PutImage(p.x, xproto.ImageFormatZPixmap, xproto.Drawable(p.win), p.gc, 256, 64, 0, int16(y), 0, 24, noise)
	}
	p.sync()
	r := watch(t, d, []rfb.Encoding{rfb.EncodingTight, rfb.EncodingQuality0 + 6}, "--pointer=false")
	asked := time.Now()
	r.ask(t, false)
	jpeg, _, rest := r.parts(t, nil)
	require.NotEmpty(t, jpeg, "nothing was sent as JPEG")
	lossy := map[image.Point]bool{}
	for _, rect := range jpeg {
		for y := rect.Min.Y; y < rect.Max.Y; y++ {
			for x := rect.Min.X; x < rect.Max.X; x++ {
				lossy[image.Pt(x, y)] = true
			}
		}
	}
	assert.Greater(t, len(lossy), photo.Dx()*photo.Dy()/2)
	for len(lossy) > 0 {
		r.ask(t, true)
		var exact []image.Rectangle
		jpeg, exact, rest = r.parts(t, rest)
		assert.Empty(t, jpeg)
		for _, rect := range exact {
			assert.True(t, rect.Overlaps(photo), "%v was never sent as JPEG", rect)
			for y := rect.Min.Y; y < rect.Max.Y; y++ {
				for x := rect.Min.X; x < rect.Max.X; x++ {
					delete(lossy, image.Pt(x, y))
				}
			}
		}
	}
	assert.Greater(t, time.Since(asked), sharpAfter)
	// Nothing more comes: the next update is that of the next change.
	r.ask(t, true)
	p.fill(image.Rect(0, 0, 10, 10), 0x00ff00)
	_, exact, _ := r.parts(t, rest)
	for _, rect := range exact {
		assert.True(t, rect.In(image.Rect(30, 40, 64, 64)), "%v", rect)
	}
}
