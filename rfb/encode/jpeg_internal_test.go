package encode

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// photo is light that changes slowly, with noise.
func photo(width, height int, noise float64) Image {
	rng := rand.New(rand.NewPCG(1, 2))
	m := Image{Pix: make([]byte, 4*width*height), Stride: 4 * width, Width: width, Height: height}
	for y := range height {
		for x := range width {
			v := math.Sin(float64(y)/90) + math.Sin(float64(x)/140)
			w := math.Sin(float64(x+2*y)/17) * math.Sin(float64(2*x-y)/29)
			p := m.Pix[y*m.Stride+4*x:]
			level := func(v float64) byte { return byte(min(max(v+noise*rng.NormFloat64(), 0), 255)) }
			p[0], p[1], p[2] = level(120+40*v+20*w), level(100+40*v+30*w), level(110-45*v+10*w)
		}
	}
	return m
}

func rgba(m Image) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, m.Width, m.Height))
	for y := range m.Height {
		row := m.row(y)
		for x := range m.Width {
			p := out.Pix[y*out.Stride+4*x:]
			p[0], p[1], p[2], p[3] = row[4*x+2], row[4*x+1], row[4*x], 255
		}
	}
	return out
}

// distance is the root of the mean square of what pixels are off by.
func distance(m Image, got image.Image) float64 {
	sum := 0.0
	for y := range m.Height {
		for x := range m.Width {
			r, g, b, _ := got.At(x, y).RGBA()
			p := m.Pix[y*m.Stride+4*x:]
			for i, v := range []uint32{b, g, r} {
				d := float64(v>>8) - float64(p[i])
				sum += d * d
			}
		}
	}
	return math.Sqrt(sum / float64(3*m.Width*m.Height))
}

// At the same quality the picture is as good and as short as the standard
// library's.
func TestJPEGAgainstStandardLibrary(t *testing.T) {
	for _, noise := range []float64{0, 4, 20} {
		for _, quality := range []int{1, 15, 41, 62, 79, 92, 100} {
			m := photo(333, 157, noise)
			var j jpegEncoder
			j.setQuality(quality)
			b := j.append(nil, &m)
			ours, err := jpeg.Decode(bytes.NewReader(b))
			require.NoError(t, err)
			var std bytes.Buffer
			require.NoError(t, jpeg.Encode(&std, rgba(m), &jpeg.Options{Quality: quality}))
			length := std.Len()
			theirs, err := jpeg.Decode(&std)
			require.NoError(t, err)
			assert.Less(t, distance(m, ours), distance(m, theirs)*1.01+0.02, "noise %v quality %d", noise, quality)
			assert.Less(t, len(b), length*103/100+10, "noise %v quality %d", noise, quality)
		}
	}
}

// A plane is luma or chroma of a picture, before and after.
type plane struct {
	want, got     func(x, y int) float64
	width, height int
	steps         [64]uint8
}

// planes converts m as JFIF says, chroma being the mean of 2 x 2 pixels.
func planes(m *Image, got *image.YCbCr, quality int) [3]plane {
	at := func(x, y, i int) float64 {
		return float64(m.row(min(y, m.Height-1))[4*min(x, m.Width-1)+i])
	}
	chroma := func(r, g, b float64) func(x, y int) float64 {
		return func(x, y int) float64 {
			sum := 0.0
			for i := range 4 {
				x, y := 2*x+i&1, 2*y+i>>1
				sum += b*at(x, y, 0) + g*at(x, y, 1) + r*at(x, y, 2)
			}
			return sum/4 + 128
		}
	}
	made := func(want func(x, y int) float64, pix []uint8, stride, width, height int, of *[64]uint8) plane {
		return plane{want, func(x, y int) float64 { return float64(pix[y*stride+x]) }, width, height, steps(of, quality)}
	}
	w, h := (m.Width+1)/2, (m.Height+1)/2
	return [3]plane{
		made(func(x, y int) float64 { return .114*at(x, y, 0) + .587*at(x, y, 1) + .299*at(x, y, 2) },
			got.Y, got.YStride, m.Width, m.Height, &lumaSteps),
		made(chroma(-.168736, -.331264, .5), got.Cb, got.CStride, w, h, &chromaSteps),
		made(chroma(.5, -.418688, -.081312), got.Cr, got.CStride, w, h, &chromaSteps),
	}
}

// decoderError is what a decoder may add, in levels: it rounds the samples, and
// what it computes with.
const decoderError = 1

// checkJPEG sees to it that no block is off by more than rounding to steps
// explains. The transform being orthogonal, the sum of the squares of what 64
// samples are off by is that of what the coefficients are off by, each of which
// is half a step at most.
func checkJPEG(t *testing.T, m *Image, quality int) {
	var j jpegEncoder
	j.setQuality(quality)
	decoded, err := jpeg.Decode(bytes.NewReader(j.append(nil, m)))
	require.NoError(t, err)
	got := decoded.(*image.YCbCr)
	require.Equal(t, image.Rect(0, 0, m.Width, m.Height), got.Bounds())
	require.Equal(t, image.YCbCrSubsampleRatio420, got.SubsampleRatio)
	for i, p := range planes(m, got, quality) {
		limit := 0.0
		for _, step := range p.steps {
			limit += float64(step) * float64(step) / 4
		}
		for y := 0; y+8 <= p.height; y += 8 {
			for x := 0; x+8 <= p.width; x += 8 {
				sum := 0.0
				for k := range 64 {
					d := p.want(x+k%8, y+k/8) - p.got(x+k%8, y+k/8)
					sum += d * d
				}
				if off, most := math.Sqrt(sum/64), math.Sqrt(limit/64)+decoderError; off > most {
					require.Failf(t, "block is off", "plane %d, %d,%d: %v, limit %v", i, x, y, off, most)
				}
			}
		}
	}
}

func TestJPEGError(t *testing.T) {
	for _, noise := range []float64{0, 4, 20, 200} {
		for _, quality := range []int{1, 15, 50, 79, 100} {
			m := photo(100, 70, noise)
			checkJPEG(t, &m, quality)
		}
	}
}

// Blocks of the extremes don't leave the numbers that pairs are made of.
func TestJPEGExtremes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := Image{Pix: make([]byte, 4*16*16), Stride: 4 * 16, Width: 16, Height: 16}
	for _, colors := range [][2]uint32{{0, 0xffffff}, {0xff, 0xffff00}, {0xff0000, 0xffff}, {0xff00, 0xff00ff}} {
		for n := range 200 {
			for i := range 256 {
				x, y := i%16, i/16
				// The signs of each basis function, and then of none.
				bit := math.Cos(float64(2*(x/2)+1)*float64(n%8)*math.Pi/16)*math.Cos(float64(2*(y/2)+1)*float64(n/8%8)*math.Pi/16) > 0
				if n >= 64 {
					bit = rng.IntN(2) > 0
				}
				c := colors[0]
				if bit {
					c = colors[1]
				}
				m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2] = byte(c), byte(c>>8), byte(c>>16)
			}
			checkJPEG(t, &m, 100)
		}
	}
}

// A coefficient is quantized to the nearest step, and one that is said not to be
// zero isn't, for zero has no code.
func TestQuantizer(t *testing.T) {
	for step := 0; step < 255; step += 1 + step/16 {
		var steps [64]uint8
		for i := range steps {
			steps[i] = uint8(step + 1)
		}
		for _, scale := range []float64{lumaScale, chromaScale} {
			var q quantizer
			q.set(&steps, scale)
			for i := range 64 {
				unit := int64(q.step[i])
				for _, at := range []int64{-3, -1, 1, 3} {
					for d := int64(-4) << coefShift; d <= 4<<coefShift; d += 1<<coefShift - 1 {
						c := at*unit/2 + d
						var out coefs
						set := q.put(&out, 0, i, c)
						n := out.value[zigzag[i]]
						if set != 0 != (n != 0) || math.Abs(float64(c)/float64(unit)-float64(n)) > 0.501 {
							require.Failf(t, "wrong", "step %d: %d of %d became %d, set %#x", step+1, c, unit, n, set)
						}
					}
				}
			}
		}
	}
}

// The writer escapes each byte 0xff.
func TestBitWriter(t *testing.T) {
	var w bitWriter
	for range 5 {
		w.bits, w.used = w.bits<<27|0x7f_fff_00f>>1, w.used+27
		if w.used >= 32 {
			w.flush32()
		}
	}
	w.end()
	plain := bytes.ReplaceAll(w.dst, []byte{0xff, 0}, []byte{0xff})
	require.Len(t, plain, (5*27+7)/8)
	assert.Equal(t, len(w.dst)-len(plain), bytes.Count(plain, []byte{0xff}))
}

func FuzzJPEG(f *testing.F) {
	for _, noise := range []float64{0, 5, 100} {
		f.Add(uint8(40), uint8(30), uint8(79), photo(40, 30, noise).Pix)
	}
	f.Add(uint8(1), uint8(1), uint8(0), []byte{1})
	f.Add(uint8(17), uint8(15), uint8(100), []byte{0, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, width, height, quality uint8, pix []byte) {
		if width == 0 || height == 0 || len(pix) == 0 {
			return
		}
		m := Image{Pix: make([]byte, 4*int(width)*int(height)), Stride: 4 * int(width), Width: int(width), Height: int(height)}
		for n := 0; n < len(m.Pix); {
			n += copy(m.Pix[n:], pix)
		}
		checkJPEG(t, &m, int(quality)%100+1)
	})
}

func BenchmarkJPEG(b *testing.B) {
	for name, noise := range map[string]float64{"smooth": 0, "photo": 4} {
		m := photo(1280, 720, noise)
		b.Run(name+"/ours", func(b *testing.B) {
			var j jpegEncoder
			j.setQuality(79)
			b.SetBytes(int64(len(m.Pix)))
			b.ReportAllocs()
			buf := j.append(nil, &m)
			for b.Loop() {
				buf = j.append(buf[:0], &m)
			}
			b.ReportMetric(float64(len(buf)), "B/frame")
		})
		b.Run(name+"/std", func(b *testing.B) {
			r := rgba(m)
			var buf bytes.Buffer
			b.SetBytes(int64(len(m.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				buf.Reset()
				if err := jpeg.Encode(&buf, r, &jpeg.Options{Quality: 79}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(buf.Len()), "B/frame")
		})
	}
}
