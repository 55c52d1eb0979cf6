package testviewer

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"
)

// An inflater is a zlib stream that comes in pieces and never ends.
type inflater struct {
	in   bytes.Buffer
	out  io.Reader
	read []byte
}

// begin adds a piece. Of the one before an empty block may be left, five bytes, and before it the end of the last
// block, a code of fifteen bits at most: whoever reads no more than the pixels needn't have seen it.
func (z *inflater) begin(d *Decoder, b []byte) {
	d.require(z.in.Len() <= 7, "%d bytes of zlib too many", z.in.Len())
	z.in.Write(b)
	if z.out == nil {
		head := z.in.Next(2)
		d.require(len(head) == 2 && head[0]&15 == 8 && head[0]>>4 <= 7 && binary.BigEndian.Uint16(head)%31 == 0 && head[1]&32 == 0,
			"no zlib header")
		z.out = flate.NewReader(&z.in) // a ByteReader: nothing is read ahead
	}
}

// bytes are good until the next call.
func (z *inflater) bytes(d *Decoder, n int) []byte {
	z.read = slices.Grow(z.read[:0], n)[:n]
	_, err := io.ReadFull(z.out, z.read)
	d.require(err == nil, "zlib: %v", err)
	return z.read
}
