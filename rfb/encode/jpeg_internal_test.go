package encode

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// photo is light and discs without an edge that is sharp, with noise of a
// strength.
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

// psnr of a picture, in decibels.
func psnr(m Image, got image.Image) float64 {
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
	return 10 * math.Log10(255*255/(sum/float64(3*m.Width*m.Height)))
}

func TestJPEGError(t *testing.T) {
	for _, noise := range []float64{0, 4, 20} {
		for _, quality := range []int{15, 41, 79, 92, 100} {
			m := photo(333, 157, noise)
			var j jpegEncoder
			j.setQuality(quality)
			b := j.append(nil, &m)
			got, err := jpeg.Decode(bytes.NewReader(b))
			require.NoError(t, err)
			require.Equal(t, image.Rect(0, 0, m.Width, m.Height), got.Bounds())
			var std bytes.Buffer
			require.NoError(t, jpeg.Encode(&std, rgba(m), &jpeg.Options{Quality: quality}))
			theirs, err := jpeg.Decode(&std)
			require.NoError(t, err)
			std.Reset()
			jpeg.Encode(&std, rgba(m), &jpeg.Options{Quality: quality})
			t.Logf("noise %v quality %d: %d bytes, %.2f dB; image/jpeg %d bytes, %.2f dB",
				noise, quality, len(b), psnr(m, got), std.Len(), psnr(m, theirs))
		}
	}
}

func BenchmarkJPEG(b *testing.B) {
	for name, noise := range map[string]float64{"smooth": 0, "photo": 4} {
		m := photo(1280, 720, noise)
		b.Run(name+"/ours", func(b *testing.B) {
			var j jpegEncoder
			j.setQuality(79)
			b.SetBytes(int64(len(m.Pix)))
			b.ReportAllocs()
			var buf []byte
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
				jpeg.Encode(&buf, r, &jpeg.Options{Quality: 79})
			}
			b.ReportMetric(float64(buf.Len()), "B/frame")
		})
	}
}
