package encode_test

import (
	"math"
	"math/rand/v2"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

func newImage(width, height int) encode.Image {
	return encode.Image{Pix: make([]byte, 4*width*height), Stride: 4 * width, Width: width, Height: height}
}

// paint sets each pixel, and what has no meaning to noise.
func paint(m encode.Image, rng *rand.Rand, pixel func(x, y int) uint32) {
	for y := range m.Height {
		for x := range m.Width {
			v := pixel(x, y)
			p := m.Pix[y*m.Stride+4*x:]
			p[0], p[1], p[2], p[3] = byte(v), byte(v>>8), byte(v>>16), byte(rng.Uint32())
		}
	}
}

func rgb(r, g, b float64) uint32 {
	level := func(v float64) uint32 { return uint32(min(max(v, 0), 255)) }
	return level(r)<<16 | level(g)<<8 | level(b)
}

// The pictures that encoders have to tell apart.
var painters = []struct {
	name  string
	paint func(m encode.Image, rng *rand.Rand)
}{
	{"flat", func(m encode.Image, rng *rand.Rand) {
		v := rng.Uint32()
		paint(m, rng, func(int, int) uint32 { return v })
	}},
	{"mono text", func(m encode.Image, rng *rand.Rand) { paintText(m, rng, 1) }},
	{"smooth text", func(m encode.Image, rng *rand.Rand) { paintText(m, rng, 8) }},
	{"many colours", func(m encode.Image, rng *rand.Rand) {
		side, base := 1+rng.IntN(20), rng.Uint32()
		paint(m, rng, func(x, y int) uint32 { return base + uint32(x/side*7+y/side*1031) })
	}},
	{"light", func(m encode.Image, rng *rand.Rand) { paintLight(m, rng, 0) }},
	{"photo", func(m encode.Image, rng *rand.Rand) { paintLight(m, rng, 5) }},
	{"noise", func(m encode.Image, rng *rand.Rand) {
		paint(m, rng, func(int, int) uint32 { return rng.Uint32() })
	}},
	{"stripes", func(m encode.Image, rng *rand.Rand) {
		a, b, n := rng.Uint32(), rng.Uint32(), 1+rng.IntN(300)
		paint(m, rng, func(x, y int) uint32 { return []uint32{a, b}[(y*m.Width+x)/n%2] })
	}},
}

// paintText paints glyphs of random strokes, in so many levels, on paper.
func paintText(m encode.Image, rng *rand.Rand, levels int) {
	ink, paper := rng.Uint32()&0x3f3f3f, rng.Uint32()|0xc0c0c0
	var glyphs [20][8 * 12]int
	for i := range glyphs {
		for k := range glyphs[i] {
			if x, y := k%8, k/8; x > 0 && y > 1 && y < 11 && rng.IntN(100) < 35 {
				glyphs[i][k] = 1 + rng.IntN(levels)
			}
		}
	}
	text := make([]int, (m.Width/8+1)*(m.Height/12+1))
	for i := range text {
		text[i] = rng.IntN(30) // a third are blanks
	}
	paint(m, rng, func(x, y int) uint32 {
		g := text[y/12*(m.Width/8+1)+x/8]
		if g >= len(glyphs) {
			return paper
		}
		a := float64(glyphs[g][y%12*8+x%8]) / float64(levels)
		mix := func(shift int) float64 {
			return float64(paper>>shift&0xff)*(1-a) + float64(ink>>shift&0xff)*a
		}
		return rgb(mix(16), mix(8), mix(0))
	})
}

// paintLight paints light that changes slowly, with noise.
func paintLight(m encode.Image, rng *rand.Rand, noise float64) {
	a, b := rng.Float64()*6, rng.Float64()*6
	paint(m, rng, func(x, y int) uint32 {
		v := math.Sin(float64(y)/90+a) + math.Sin(float64(x)/140+b)
		w := math.Sin(float64(x+2*y)/17) * math.Sin(float64(2*x-y)/29)
		level := func(v float64) float64 { return v + noise*rng.NormFloat64() }
		return rgb(level(110-45*v+10*w), level(100+40*v+30*w), level(120+40*v+20*w))
	})
}

// paintVideo paints light without noise and discs passing over it.
func paintVideo(m encode.Image, frame int) {
	t := 2 * math.Pi * float64(frame) / 40
	paint(m, rand.New(rand.NewPCG(1, 1)), func(x, y int) uint32 {
		v := math.Sin(float64(y)/90-t) + math.Sin(float64(x)/140+t)
		return rgb(110-45*v, 100+40*v, 120+50*v)
	})
	for n, c := range []uint32{0x3c50e6, 0x5ac83c, 0xf0f0f0} {
		a := t + float64(n)*2.1
		cx, cy, r := m.Width/2+int(math.Cos(a)*400), m.Height/2+int(math.Sin(2*a)*220), 70
		for y := max(cy-r, 0); y < min(cy+r, m.Height); y++ {
			for x := max(cx-r, 0); x < min(cx+r, m.Width); x++ {
				if (x-cx)*(x-cx)+(y-cy)*(y-cy) < r*r {
					p := m.Pix[y*m.Stride+4*x:]
					p[0], p[1], p[2] = byte(c), byte(c>>8), byte(c>>16)
				}
			}
		}
	}
}

// The formats that viewers ask for: those of well-known ones, and all corners.
var formats = map[string]rfb.PixelFormat{
	"native":           encode.Format(),
	"noVNC":            trueColor(32, 24, false, 255, 255, 255, 0, 8, 16),
	"big endian":       trueColor(32, 24, true, 255, 255, 255, 16, 8, 0),
	"high bytes":       trueColor(32, 24, false, 255, 255, 255, 24, 16, 8),
	"high bytes big":   trueColor(32, 24, true, 255, 255, 255, 24, 16, 8),
	"spread":           trueColor(32, 24, false, 255, 255, 255, 24, 8, 0),
	"crooked shifts":   trueColor(32, 24, false, 255, 255, 255, 17, 9, 1),
	"depth 32":         trueColor(32, 32, false, 255, 255, 255, 16, 8, 0),
	"depth 30":         trueColor(32, 30, false, 1023, 1023, 1023, 20, 10, 0),
	"middle bytes":     trueColor(32, 16, true, 31, 63, 31, 19, 13, 8),
	"15 of 32":         trueColor(32, 15, false, 31, 31, 31, 10, 5, 0),
	"565":              trueColor(16, 16, false, 31, 63, 31, 11, 5, 0),
	"565 big":          trueColor(16, 16, true, 31, 63, 31, 11, 5, 0),
	"555":              trueColor(16, 15, false, 31, 31, 31, 0, 5, 10),
	"bgr233":           trueColor(8, 8, false, 7, 7, 3, 0, 3, 6),
	"rgb222":           trueColor(8, 6, true, 3, 3, 3, 4, 2, 0),
	"one bit each":     trueColor(8, 3, false, 1, 1, 1, 2, 1, 0),
	"wide red":         trueColor(32, 32, true, 65535, 255, 255, 16, 8, 0),
	"colour map":       {BitsPerPixel: 8, Depth: 8},
	"colour map again": {BitsPerPixel: 8, Depth: 8, BigEndian: true, RedMax: 5},
}

func trueColor(bits, depth uint8, big bool, r, g, b uint16, rs, gs, bs uint8) rfb.PixelFormat {
	return rfb.PixelFormat{
		BitsPerPixel: bits, Depth: depth, BigEndian: big, TrueColor: true,
		RedMax: r, GreenMax: g, BlueMax: b, RedShift: rs, GreenShift: gs, BlueShift: bs,
	}
}
