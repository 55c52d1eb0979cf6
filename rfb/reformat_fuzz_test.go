package rfb

import (
	"math/rand/v2"
	"testing"
)

// choices are what a fuzzer decides, two bytes a choice, and then what follows from a seed.
type choices struct {
	bytes []byte
	rest  rand.Source
}

// Uint64 has a choice in its upper bits, which decide a number below any other, and in its lower ones, which decide
// below a power of two.
func (c *choices) Uint64() uint64 {
	if len(c.bytes) < 2 {
		return c.rest.Uint64()
	}
	a, b := uint64(c.bytes[0]), uint64(c.bytes[1])
	c.bytes = c.bytes[2:]
	return a<<56 | b<<48 | b<<8 | a
}

// FuzzFormatChanges: the walker follows every length of every update in the format in which the server composed it,
// whenever the viewer asks for another, whatever the server and its answers are like, and however the stream is cut.
func FuzzFormatChanges(f *testing.F) {
	all := []Encoding{EncodingTight, EncodingZRLE, EncodingHextile, EncodingCopyRect, EncodingRRE, EncodingCoRRE, EncodingZlib,
		EncodingDesktopSize, EncodingFence, EncodingContinuousUpdates, EncodingCursor, EncodingPointerPos}
	for seed := range uint64(20) {
		r, b := rand.New(rand.NewPCG(seed, 5)), make([]byte, 1<<10)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b, seed)
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		if len(b) <= 1<<16 {
			changeFormats(t, newModel(t, &choices{b, rand.NewPCG(seed, 7)}, 40), all, 4)
		}
	})
}
