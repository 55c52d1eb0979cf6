package encode_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// asNoVNC is how noVNC 1.7 asks.
var asNoVNC = []rfb.Encoding{
	rfb.EncodingCopyRect, rfb.EncodingTight, rfb.EncodingZRLE, rfb.EncodingHextile, rfb.EncodingRRE, rfb.EncodingRaw,
	rfb.EncodingQuality0 + 6, rfb.EncodingCompress0 + 2,
}

// bench encodes images, one after another.
func bench(b *testing.B, f rfb.PixelFormat, encodings []rfb.Encoding, lossless bool, images ...encode.Image) {
	var e encode.Encoder
	if err := e.SetPixelFormat(f); err != nil {
		b.Fatal(err)
	}
	e.SetEncodings(encodings)
	var buf []byte
	update := func(m encode.Image) {
		buf = e.BeginUpdate(buf[:0])
		buf, _ = e.AppendRect(buf, 0, 0, m, lossless)
		buf = e.EndUpdate(buf)
	}
	for _, m := range images { // buffers grow
		update(m)
	}
	b.SetBytes(int64(4 * images[0].Width * images[0].Height))
	b.ReportAllocs()
	sent, n, start := 0, 0, cpuTime()
	for b.Loop() {
		update(images[n%len(images)])
		n++
		sent += len(buf)
	}
	b.ReportMetric(float64(sent)/float64(n), "B/update")
	b.ReportMetric(float64(cpuTime()-start)/float64(n), "cpu-ns/op")
}

// cpuTime is what the process has used of processors, which other programs
// disturb less than what a clock says.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tilesOf are some images of a size by each painter.
func tilesOf(width, height int, paint func(m encode.Image, rng *rand.Rand)) []encode.Image {
	rng := rand.New(rand.NewPCG(3, 4))
	images := make([]encode.Image, max(1, 1<<19/width/height)) // more than fits into a zlib window
	for i := range images {
		images[i] = newImage(width, height)
		paint(images[i], rng)
	}
	return images
}

func BenchmarkTile(b *testing.B) {
	for _, enc := range encodings {
		for _, p := range painters {
			b.Run(fmt.Sprintf("%v/%s", enc, p.name), func(b *testing.B) {
				bench(b, formats["noVNC"], []rfb.Encoding{enc}, false, tilesOf(64, 64, p.paint)...)
			})
		}
	}
}

func BenchmarkTightJPEGTile(b *testing.B) {
	bench(b, formats["noVNC"], asNoVNC, false, tilesOf(64, 64, painters[5].paint)...)
}

func BenchmarkTextBand(b *testing.B) {
	for _, p := range painters[1:3] {
		b.Run(p.name, func(b *testing.B) {
			bench(b, formats["noVNC"], asNoVNC, false, tilesOf(720, 13, p.paint)...)
		})
	}
}

// A frame of a video of 1280 x 720.
func BenchmarkFrame(b *testing.B) {
	video := make([]encode.Image, 4)
	for i := range video {
		video[i] = newImage(1280, 720)
		paintVideo(video[i], i)
	}
	photo := tilesOf(1280, 720, painters[5].paint)[:1]
	b.Run("video", func(b *testing.B) { bench(b, formats["noVNC"], asNoVNC, false, video...) })
	b.Run("photo", func(b *testing.B) { bench(b, formats["noVNC"], asNoVNC, false, photo...) })
	b.Run("video lossless", func(b *testing.B) { bench(b, formats["noVNC"], asNoVNC, true, video...) })
	b.Run("video ZRLE", func(b *testing.B) { bench(b, formats["noVNC"], encodings[2:], true, video...) })
	b.Run("video Raw", func(b *testing.B) { bench(b, formats["noVNC"], nil, true, video...) })
}

// A desktop of 1920 x 1080 from nothing.
func BenchmarkScreen(b *testing.B) {
	m := newImage(1920, 1080)
	rng := rand.New(rand.NewPCG(5, 6))
	paint(m, rng, func(x, y int) uint32 {
		return rgb(40+70*float64(x)/1920, 90+50*float64(x*y)/1920/1080, 150+60*float64(y)/1080)
	})
	paintText(m.Sub(100, 100, 720, 585), rng, 8)
	paintText(m.Sub(900, 300, 720, 585), rng, 1)
	bench(b, formats["noVNC"], asNoVNC, false, m)
}
