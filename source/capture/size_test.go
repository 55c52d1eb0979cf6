package capture

import (
	"image"
	"io"
	"net"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// The garbage collector has as much room beside a large frame as beside a small one.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	s := &server{view: image.Rect(0, 0, 300, 200), told: image.Pt(300, 200)}
	s.encoder.SetEncodings([]rfb.Encoding{rfb.EncodingDesktopSize})
	s.setFrame(s.told)
	for _, size := range []image.Point{{300, 200}, {2000, 1000}, {400, 100}} {
		s.view.Max = size
		s.fit()
		assert.Equal(t, size, s.frame.size)
		assert.EqualValues(t, maxHeap+4*size.X*size.Y, debug.SetMemoryLimit(-1))
	}
}

// A viewer that doesn't want to be told of a size any more, when it is about to be, keeps the one that it knows; a
// colour map that is due reaches it all the same.
func TestSizeIsNotWanted(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	known := image.Pt(300, 200)
	s := &server{viewer: newViewer(ours), view: image.Rect(0, 0, 400, 300), told: known, requested: true}
	s.encoder.SetEncodings([]rfb.Encoding{rfb.EncodingDesktopSize})
	s.setFrame(known)
	s.fit()
	require.Equal(t, image.Pt(400, 300), s.frame.size)
	s.encoder.SetEncodings(nil)
	require.NoError(t, s.encoder.SetPixelFormat(rfb.PixelFormat{BitsPerPixel: 8, Depth: 8}))
	sent := make(chan error, 1)
	go func() {
		err := s.sendSize()
		ours.Close()
		sent <- err
	}()
	out, err := io.ReadAll(theirs)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	require.NotEmpty(t, out, "the map is lost")
	assert.EqualValues(t, rfb.ServerSetColorMapEntries, out[0])
	assert.Equal(t, known, s.frame.size)
	assert.True(t, s.padded)
	assert.True(t, s.requested, "it still waits")
}
