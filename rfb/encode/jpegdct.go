package encode

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The cosine transform takes two columns of samples at a time, in the halves of
// a 64-bit number: what is high·2³² + low stays so through additions and
// multiplications as long as the sums in the low half fit into 32 bits. All of
// the transform is made of these; there is no rounding until it is over.

// pair is two numbers, the first in the low half.
func pair(first, second int64) int64 { return first + second<<32 }

// A samples is a block of 8 x 8 samples, row by row, pairs of columns; after
// columns rows of it are vertical frequencies.
type samples [32]int64

// An mcu is 16 x 16 pixels: four blocks of luma, one of each chroma at half the
// resolution (ITU T.81 calls it a minimum coded unit).
type mcu struct {
	luma   [4]samples
	cb, cr samples
}

// The scale of samples: what the weights of a colour's parts add up to, chroma's
// over four pixels. These scales have weights that are close to whole numbers.
const (
	lumaScale   = 535
	chromaScale = 4 * 332
)

// load converts 16 x 16 pixels (JFIF 1.02, "Conversion to and from RGB").
// Luma isn't centred: the transform leaves that to the block's mean.
func (m *mcu) load(pix []byte, stride int) {
	const (
		redBlue = 0x00ff00ff_00ff00ff
		green   = 0x000000ff_000000ff
	)
	for r := range 8 {
		top := pix[2*r*stride:][:64]
		low := pix[(2*r+1)*stride:][:64]
		luma := (*[8]int64)(m.luma[r/4*2][r%4*8:])
		right := (*[8]int64)(m.luma[r/4*2+1][r%4*8:])
		var cb, cr [8]int64
		for c := range 8 {
			p, q := binary.LittleEndian.Uint64(top[8*c:]), binary.LittleEndian.Uint64(low[8*c:])
			prb, pg := p&redBlue, p>>8&green
			qrb, qg := q&redBlue, q>>8&green
			// The product has 160·red + 61·blue in its second and its fourth quarter.
			const weights = 160 | 61<<16
			py := prb*weights>>16&0x0000ffff_0000ffff + pg*314
			qy := qrb*weights>>16&0x0000ffff_0000ffff + qg*314
			if c < 4 {
				luma[c], luma[c+4] = int64(py), int64(qy)
			} else {
				right[c-4], right[c] = int64(py), int64(qy)
			}
			rb := prb + qrb
			rb += rb >> 32
			g := pg + qg
			b, r, v := int64(rb&0xffff), int64(rb>>16&0xffff), int64((g+g>>32)&0xffff)
			cb[c] = 166*b - 56*r - 110*v
			cr[c] = 166*r - 139*v - 27*b
		}
		for c := range 4 {
			m.cb[4*r+c] = pair(cb[2*c], cb[2*c+1])
			m.cr[4*r+c] = pair(cr[2*c], cr[2*c+1])
		}
	}
}

// The constants of the transform by Arai, Agui and Nakajima, as fixed point of
// 10 bits vertically, where two numbers share 64 bits, and of 13 bits
// horizontally.
const (
	columnBits, rowBits = 10, 13

	column382, row382   = 392, 3135
	column541, row541   = 554, 4433
	column707, row707   = 724, 5793
	column1306, row1306 = 1338, 10703
)

// columns transforms all columns.
func (s *samples) columns() {
	for c := range 4 {
		x0, x1, x2, x3 := s[c], s[c+4], s[c+8], s[c+12]
		x4, x5, x6, x7 := s[c+16], s[c+20], s[c+24], s[c+28]
		a0, a7 := x0+x7, x0-x7
		a1, a6 := x1+x6, x1-x6
		a2, a5 := x2+x5, x2-x5
		a3, a4 := x3+x4, x3-x4

		b0, b3 := a0+a3, (a0-a3)<<columnBits
		b1, b2 := a1+a2, a1-a2
		s[c], s[c+16] = (b0+b1)<<columnBits, (b0-b1)<<columnBits
		z := (b2 + a0 - a3) * column707
		s[c+8], s[c+24] = b3+z, b3-z

		b4, b5, b6 := a4+a5, a5+a6, a6+a7
		z5 := (b4 - b6) * column382
		z2, z4 := b4*column541+z5, b6*column1306+z5
		z3, a7 := b5*column707, a7<<columnBits
		z1, z6 := a7+z3, a7-z3
		s[c+20], s[c+12] = z6+z2, z6-z2
		s[c+4], s[c+28] = z1+z4, z1-z4
	}
}

// A quantizer divides the coefficients of a block, row by row as the transform
// leaves them.
type quantizer struct {
	reciprocal [64]int64
	half, step [64]uint64 // what is less than half a step away from nothing becomes nothing
	// small says which rows of vertical frequencies become nothing: those where
	// offset makes every pair fit into small's zeros.
	offset, small [8]int64
}

// What coefficients are shifted by before and after they are multiplied by a
// reciprocal.
const (
	coefShift  = 18
	quantShift = 50
)

// set makes q divide by steps, which are in the same order, samples having this
// scale.
func (q *quantizer) set(steps *[64]uint8, scale float64) {
	var norm [8]float64 // what the transform leaves coefficients multiplied by
	for i := range norm {
		norm[i] = math.Sqrt(8)
		if i > 0 {
			norm[i] *= math.Sqrt2 * math.Cos(float64(i)*math.Pi/16)
		}
	}
	for u := range 8 {
		least := steps[8*u]
		for v := range 8 {
			step := steps[8*u+v]
			least = min(least, step)
			unit := math.Ldexp(scale*norm[u]*norm[v]*float64(step), columnBits+rowBits)
			// The margin is for what shifts and the reciprocal cut off: put relies
			// on the rest becoming something.
			margin := uint64(2<<coefShift + unit/(1<<20))
			q.half[8*u+v], q.step[8*u+v] = uint64(unit/2)+margin, uint64(unit)+2*margin
			q.reciprocal[8*u+v] = int64(math.Ldexp(1/unit, quantShift+coefShift))
		}
		// No sum of a row exceeds √8 of its greatest number. A step's half is
		// rounded to nothing.
		limit := math.Ldexp(scale*norm[u]*float64(least)/2/math.Sqrt(8), columnBits)
		power := bits.Len64(uint64(limit)) - 1
		q.offset[u] = pair(1<<power, 1<<power)
		q.small[u] = ^pair(2<<power-1, 2<<power-1)
	}
}

// zigzag is the place of each coefficient in a scan: ITU T.81 figure A.6.
var zigzag = [64]uint8{
	0, 1, 5, 6, 14, 15, 27, 28,
	2, 4, 7, 13, 16, 26, 29, 42,
	3, 8, 12, 17, 25, 30, 41, 43,
	9, 11, 18, 24, 31, 40, 44, 53,
	10, 19, 23, 32, 39, 45, 52, 54,
	20, 22, 33, 38, 46, 51, 55, 60,
	21, 34, 37, 47, 50, 56, 59, 61,
	35, 36, 48, 49, 57, 58, 62, 63,
}

// A coefs is a block's quantized coefficients, in a scan's order.
type coefs struct {
	value [64]int32
	set   uint64 // which of them aren't zero; the others are undefined
}

// rows transforms what columns has left, row by row, and quantizes it.
func (s *samples) rows(q *quantizer, out *coefs) {
	var set uint64
	for u := range 8 {
		p := (*[4]int64)(s[4*u:])
		off := q.offset[u]
		if u > 0 && ((p[0]+off)|(p[1]+off)|(p[2]+off)|(p[3]+off))&q.small[u] == 0 {
			continue
		}
		x0, x2, x4, x6 := int64(int32(p[0])), int64(int32(p[1])), int64(int32(p[2])), int64(int32(p[3]))
		x1, x3, x5, x7 := (p[0]-x0)>>32, (p[1]-x2)>>32, (p[2]-x4)>>32, (p[3]-x6)>>32
		a0, a7 := x0+x7, x0-x7
		a1, a6 := x1+x6, x1-x6
		a2, a5 := x2+x5, x2-x5
		a3, a4 := x3+x4, x3-x4

		b0, b3 := a0+a3, (a0-a3)<<rowBits
		b1, b2 := a1+a2, a1-a2
		set = q.put(out, set, 8*u, (b0+b1)<<rowBits)
		set = q.put(out, set, 8*u+4, (b0-b1)<<rowBits)
		z := (b2 + a0 - a3) * row707
		set = q.put(out, set, 8*u+2, b3+z)
		set = q.put(out, set, 8*u+6, b3-z)

		b4, b5, b6 := a4+a5, a5+a6, a6+a7
		z5 := (b4 - b6) * row382
		z2, z4 := b4*row541+z5, b6*row1306+z5
		z3, a7 := b5*row707, a7<<rowBits
		z1, z6 := a7+z3, a7-z3
		set = q.put(out, set, 8*u+5, z6+z2)
		set = q.put(out, set, 8*u+3, z6-z2)
		set = q.put(out, set, 8*u+1, z1+z4)
		set = q.put(out, set, 8*u+7, z1-z4)
	}
	out.set = set
}

// put quantizes coefficient i, and adds it to the set unless it becomes nothing.
func (q *quantizer) put(out *coefs, set uint64, i int, c int64) uint64 {
	i &= 63
	if uint64(c)+q.half[i] < q.step[i] {
		return set
	}
	at := zigzag[i]
	out.value[at&63] = int32((c>>coefShift*q.reciprocal[i] + 1<<(quantShift-1)) >> quantShift)
	return set | 1<<(at&63)
}
