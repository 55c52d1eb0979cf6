package encode

import "slices"

// A jpegEncoder writes baseline JPEG (ITU T.81) of three components, chroma at
// half the resolution in both directions. The zero jpegEncoder is not ready.
type jpegEncoder struct {
	quality      int // 1 to 100, zero: not ready
	luma, chroma quantizer
	head         []byte // up to the scan
	size         int    // where in head the height and the width are

	mcu   mcu
	coefs coefs
	edge  [16 * 64]byte // an mcu beyond the image's edge
	w     bitWriter
}

// The markers of a JPEG stream (ITU T.81 table B.1).
const (
	markSOF0 = 0xc0
	markDHT  = 0xc4
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markDQT  = 0xdb
	markAPP0 = 0xe0
)

// mcuMost is more than an mcu can be long: six blocks of 64 codes of 26 bits,
// each byte of which may be followed by a zero.
const mcuMost = 6 * 64 * 26 / 8 * 2

// setQuality makes the tables for a quality from 1 to 100, as the Independent
// JPEG Group's library understands it.
func (j *jpegEncoder) setQuality(quality int) {
	if j.quality == quality {
		return
	}
	j.quality = quality
	luma, chroma := steps(&lumaSteps, quality), steps(&chromaSteps, quality)
	j.luma.set(&luma, lumaScale)
	j.chroma.set(&chroma, chromaScale)

	h := append(j.head[:0], 0xff, markSOI)
	h = append(h, 0xff, markAPP0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0)
	for i, table := range []*[64]uint8{&luma, &chroma} {
		h = append(h, 0xff, markDQT, 0, 67, byte(i))
		at := len(h)
		h = append(h, table[:]...)
		for n, place := range zigzag {
			h[at+int(place)] = table[n]
		}
	}
	j.size = len(h) + 5
	h = append(h, 0xff, markSOF0, 0, 17, 8, 0, 0, 0, 0, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1)
	for i, t := range []*huffmanSpec{&lumaDC, &lumaAC, &chromaDC, &chromaAC} {
		n := 19 + len(t.symbols)
		h = append(h, 0xff, markDHT, byte(n>>8), byte(n), byte(i&1<<4|i>>1))
		h = append(h, t.counts[:]...)
		h = append(h, t.symbols...)
	}
	h = append(h, 0xff, markSOS, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0)
	j.head = h
}

// steps scales the quantizer steps of a quality of 50.
func steps(of *[64]uint8, quality int) (scaled [64]uint8) {
	percent := 200 - 2*quality
	if quality < 50 {
		percent = 5000 / quality
	}
	for i, step := range of {
		scaled[i] = uint8(min(max((int(step)*percent+50)/100, 1), 255))
	}
	return scaled
}

// append appends img, which is at most 65535 wide and high, to dst.
func (j *jpegEncoder) append(dst []byte, img *Image) []byte {
	at := len(dst)
	dst = append(dst, j.head...)
	size := dst[at+j.size:]
	size[0], size[1], size[2], size[3] = byte(img.Height>>8), byte(img.Height), byte(img.Width>>8), byte(img.Width)

	var luma, cb, cr int32 // the last means
	j.w = bitWriter{dst: dst}
	for y := 0; y < img.Height; y += 16 {
		for x := 0; x < img.Width; x += 16 {
			j.w.dst = slices.Grow(j.w.dst, mcuMost)
			if x+16 <= img.Width && y+16 <= img.Height {
				j.mcu.load(img.Pix[y*img.Stride+4*x:], img.Stride)
			} else {
				j.mcu.load(j.beyond(img, x, y), 64)
			}
			for i := range j.mcu.luma {
				luma = j.block(&j.mcu.luma[i], &j.luma, luma, lumaMean, huffLumaDC, huffLumaAC)
			}
			cb = j.block(&j.mcu.cb, &j.chroma, cb, 0, huffChromaDC, huffChromaAC)
			cr = j.block(&j.mcu.cr, &j.chroma, cr, 0, huffChromaDC, huffChromaAC)
		}
	}
	j.w.end()
	dst, j.w.dst = j.w.dst, nil
	return append(dst, 0xff, markEOI)
}

// lumaMean centres a block's luma, once its columns are transformed.
const lumaMean = 128 * lumaScale * 8 << columnBits

// block writes a block.
func (j *jpegEncoder) block(s *samples, q *quantizer, last int32, mean int64, dc, ac *huffman) int32 {
	s.columns()
	if mean != 0 {
		for c := range 4 {
			s[c] -= pair(mean, mean)
		}
	}
	s.rows(q, &j.coefs)
	return j.w.block(&j.coefs, last, dc, ac)
}

// beyond is the 16 x 16 pixels at x, y; the image's last row and column go on
// beyond its edge.
func (j *jpegEncoder) beyond(img *Image, x, y int) []byte {
	width := 4 * min(16, img.Width-x)
	for r := range 16 {
		row := j.edge[64*r:][:64]
		n := copy(row, img.row(min(y+r, img.Height-1))[4*x:][:width])
		for ; n < len(row); n++ {
			row[n] = row[n-4]
		}
	}
	return j.edge[:]
}
