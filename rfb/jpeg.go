package rfb

import (
	"bytes"
	"fmt"
)

// The bytes after FF in a JPEG stream that matter here.
const (
	jpegTEM   = 0x01
	jpegRST0  = 0xd0
	jpegSOI   = 0xd8
	jpegEOI   = 0xd9
	jpegSOS   = 0xda
	jpegFirst = 0xc0 // the least that begins a segment
)

// jpeg follows a JPEG stream to its end: markers, most of them with a segment,
// and after the start of a scan compressed data up to the next marker.
func (w *walker) jpeg(b []byte) error {
	marker := b[len(b)-1]
	switch w.state {
	case inMarker:
		if b[0] != 0xff {
			return fmt.Errorf("%w: %#x is no JPEG marker", ErrMalformed, b[0])
		}
	case inSegment:
		n := uint64(be16(b))
		if n < 2 {
			return fmt.Errorf("%w: JPEG segment of %d bytes", ErrMalformed, n)
		}
		w.skip = n - 2
		if w.shift == jpegSOS {
			w.expect(inScan, 0)
		} else {
			w.expect(inMarker, 2)
		}
		return w.longer(n)
	case inScanMarker:
		switch {
		case marker == 0, marker >= jpegRST0 && marker < jpegSOI:
			w.expect(inScan, 0)
			return nil
		case marker == 0xff: // padding
			return nil
		}
	}
	switch {
	case marker == jpegEOI:
		w.pass(0)
	case marker == jpegTEM, marker >= jpegRST0 && marker <= jpegSOI:
		w.expect(inMarker, 2)
	case marker >= jpegFirst && marker < 0xff:
		w.shift = marker
		w.expect(inSegment, 2)
	default:
		return fmt.Errorf("%w: JPEG marker %#x", ErrMalformed, marker)
	}
	return w.longer(2)
}

// scan passes over compressed data up to the next byte FF, or to the end of p.
func (w *walker) scan(p []byte) (int, error) {
	n := bytes.IndexByte(p, 0xff) + 1
	if n == 0 {
		n = len(p)
	} else {
		w.expect(inScanMarker, 1)
	}
	return n, w.longer(uint64(n))
}

// longer counts n more bytes of a JPEG stream.
func (w *walker) longer(n uint64) error {
	if w.pixels += n; w.pixels > maxJPEG {
		return fmt.Errorf("%w: JPEG of more than %d bytes", ErrLimit, maxJPEG)
	}
	return nil
}
