package rfb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkViewOnly is an independent reading of what may reach a server that knows
// no fences.
func checkViewOnly(b []byte, width, height int) error {
	first, _ := AppendMessage(nil, &SetPixelFormat{pinned})
	if !bytes.HasPrefix(b, first) {
		return errors.New("does not begin with the pinned pixel format")
	}
	return checkSaid(b[len(first):], width, height, nil)
}

// checkFormat is an independent reading of a SetPixelFormat after its type.
func checkFormat(b []byte) error {
	bits, depth, big, color := int(b[3]), int(b[4]), b[5], b[6]
	used, total := uint64(0), 0
	for i := range 3 {
		most, shift := uint64(binary.BigEndian.Uint16(b[7+2*i:])), int(b[13+i])
		for n := most; n > 0; n >>= 1 {
			total += int(n & 1)
		}
		if color == 1 && (most == 0 || most&(most+1) != 0 || shift > 31 || used&(most<<shift) != 0) || color == 0 && (most != 0 || shift != 0) {
			return fmt.Errorf("colours % x", b)
		}
		used |= most << shift
	}
	if b[0]|b[1]|b[2]|b[16]|b[17]|b[18] != 0 || !slices.Contains([]int{8, 16, 32}, bits) || depth > bits || depth < total ||
		big > 1 || color > 1 || used>>bits != 0 || color == 0 && bits != 8 || bits == 8 && big == 1 {
		return fmt.Errorf("pixel format % x", b)
	}
	return nil
}

// checkSaid is checkViewOnly after the pixel format. fences are the payloads
// that the server waits for; each is answered once.
func checkSaid(b []byte, width, height int, fences []string) error {
	for knows := fences != nil; len(b) > 0; {
		switch {
		case b[0] == 0 && len(b) >= 20:
			if err := checkFormat(b[1:20]); err != nil {
				return err
			}
			b = b[20:]
		case bytes.HasPrefix(b, unhexString("f8 000000 80000007 07 666f726d6174")) && len(b) >= 16 && knows: // our own
			b = b[16:]
		case b[0] == 150 && len(b) >= 10 && knows:
			x, y := int(binary.BigEndian.Uint16(b[2:])), int(binary.BigEndian.Uint16(b[4:]))
			w, h := int(binary.BigEndian.Uint16(b[6:])), int(binary.BigEndian.Uint16(b[8:]))
			if b[1] > 1 || b[1] == 1 && (w == 0 || h == 0) || x+w > width || y+h > height {
				return fmt.Errorf("continuous updates % x", b[:10])
			}
			b = b[10:]
		case b[0] == 248 && len(b) >= 9 && len(b) >= 9+int(b[8]) && knows:
			flags, n := binary.BigEndian.Uint32(b[4:]), int(b[8])
			at := slices.Index(fences, string(b[9:9+n]))
			if b[1]|b[2]|b[3] != 0 || flags&^7 != 0 || at < 0 {
				return fmt.Errorf("fence % x", b[:9+n])
			}
			fences = slices.Delete(slices.Clone(fences), at, at+1)
			b = b[9+n:]
		case b[0] == 2 && len(b) >= 4:
			n, twins := int(binary.BigEndian.Uint16(b[2:])), 0
			if b[1] != 0 || n < 1 || n > 24 || len(b) < 4+4*n {
				return fmt.Errorf("SetEncodings % x", b[:4])
			}
			for i := range n {
				e := int32(binary.BigEndian.Uint32(b[4+4*i:]))
				hint := e >= -32 && e <= -23 || e >= -256 && e <= -247 || e >= -512 && e <= -412 || e >= -768 && e <= -763
				if !hint && !slices.Contains([]int32{0, 1, 2, 4, 5, 6, 7, 16, -223, -224, -232, -239, -240, -261, -307, -312, -313}, e) {
					return fmt.Errorf("encoding %d", e)
				}
				switch e {
				case -312:
					twins++
				case -313:
					twins--
				}
			}
			if twins != 0 {
				return errors.New("one of Fence and ContinuousUpdates without the other")
			}
			b = b[4+4*n:]
		case b[0] == 3 && len(b) >= 10:
			x, y := int(binary.BigEndian.Uint16(b[2:])), int(binary.BigEndian.Uint16(b[4:]))
			w, h := int(binary.BigEndian.Uint16(b[6:])), int(binary.BigEndian.Uint16(b[8:]))
			if b[1] > 1 || w == 0 || h == 0 || x+w > width || y+h > height {
				return fmt.Errorf("request % x", b[:10])
			}
			b = b[10:]
		default:
			return fmt.Errorf("message % x", b[:min(len(b), 16)])
		}
	}
	return nil
}

// FuzzClientFilter: what leaves the filter is what may pass, and the same
// however the input is cut.
func FuzzClientFilter(f *testing.F) {
	f.Add(noVNC(f, 640, 480), uint16(1))
	seedTraces(f, func(tr *captured) {
		said := tr.Stream(FromViewer)[tr.shake.Len(FromViewer):]
		f.Add(said[:min(len(said), 4<<10)], uint16(7))
	})
	f.Add(unhex(f, "03 00 4d00 5800 0100 0100 05 01 0010 0020 06 000000 fffffff8 01000001 00000000"), uint16(3))
	f.Add(unhex(f, "ff 01 0002 03 02 0000ac44 ff 00 0001 0000ff0d 0000001c fb 00 0400 0300 00 00 0d"), uint16(5))
	f.Add(join(unhex(f, "02 00 0080"), make([]byte, 512), unhex(f, "0a 01 0010 0020")), uint16(100))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if len(in) > 1<<16 {
			return
		}
		want := fuzzed(t, func(drops func(ClientMessageType)) *clientFilter {
			return newClientFilter(newAgreed(640, 480), false, drops, 0)
		}, in, cut)
		require.NoError(t, checkViewOnly(want.out, 640, 480))
	})
}

// fuzzed feeds in to filters of one kind, whole, byte by byte, and cut, and
// returns what each of them made of it: the same.
func fuzzed(t *testing.T, filter func(onDrop func(ClientMessageType)) *clientFilter, in []byte, cut uint16) filtered {
	t.Helper()
	run := func(size int) filtered {
		var drops []ClientMessageType
		f := filter(func(m ClientMessageType) { drops = append(drops, m) })
		parts := []int{0}
		for left := len(in); left > 0; left -= parts[len(parts)-1] {
			parts = append(parts, min(left, size))
		}
		got := drive(t, f, in, parts)
		got.drops = drops
		return got
	}
	want := run(max(1, len(in)))
	for _, size := range []int{1, 1 + int(cut)} {
		got := run(size)
		assert.Equal(t, want.out, got.out)
		assert.Equal(t, want.drops, got.drops)
		assert.Equal(t, fmt.Sprint(want.err), fmt.Sprint(got.err))
	}
	return want
}

// FuzzFencingFilter is FuzzClientFilter of a session in which fences and
// continuous updates are agreed on, and the server waits for two answers.
func FuzzFencingFilter(f *testing.F) {
	f.Add(join(wire(f, EnableContinuousUpdates{true, Rect{1, 2, 3, 4}}), wire(f, Fence{FenceBlockBefore, []byte("a")}), wire(f, Fence{0, []byte("bc")})), uint16(1))
	f.Add(join(wire(f, EnableContinuousUpdates{}), wire(f, Fence{FenceRequest, []byte("a")}), noVNC(f, 640, 480)), uint16(3))
	seedTraces(f, func(tr *captured) {
		if slices.Contains(tr.encodings, EncodingFence) {
			said := tr.Stream(FromViewer)[tr.shake.Len(FromViewer):]
			f.Add(said[:min(len(said), 4<<10)], uint16(7))
		}
	})
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if len(in) > 1<<16 {
			return
		}
		want := fuzzed(t, func(drops func(ClientMessageType)) *clientFilter {
			f := fencing(t)
			f.onDrop = drops
			f.agreed.learn(hasUpdates)
			for _, payload := range []string{"a", "bc"} {
				require.True(t, f.agreed.fences.add(FenceRequest|FenceBlockBefore, []byte(payload), epoch))
			}
			return f
		}, in, cut)
		require.NoError(t, checkSaid(want.out, 640, 480, []string{"a", "bc"}))
	})
}

// The messages of a viewer, one by one and mixed as noVNC sends them while its
// user moves the mouse and types. The time of an operation is that of one
// message, whatever its type.
func BenchmarkClientFilter(b *testing.B) {
	request, pointer, key := FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}}, PointerEvent{X: 1, Y: 2}, KeyEvent{true, 'a'}
	for _, bm := range []struct {
		name string
		says []Message
	}{
		{"FramebufferUpdateRequest", []Message{&request}},
		{"PointerEvent", []Message{&pointer}},
		{"KeyEvent", []Message{&key}},
		{"SetEncodings", []Message{&SetEncodings{noVNCEncodings}}},
		{"SetEncodings, changed", []Message{&SetEncodings{noVNCEncodings}, &SetEncodings{noVNCEncodings[:len(noVNCEncodings)-1]}}},
		{"mix", []Message{&request, &pointer, &pointer, &request, &key, &pointer, &request, &pointer, &key, &pointer}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			f, now, bytes := benchFilter(), epoch, 0
			var parts [][]byte
			for _, m := range bm.says {
				parts = append(parts, wire(b, m))
				bytes += len(parts[len(parts)-1])
			}
			b.SetBytes(int64(bytes / len(parts)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.out = f.out[:0]
				now = now.Add(7 * time.Second) // no rate limits anything
				in := parts[i%len(parts)]
				if n, err := f.feed(now, in); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func benchFilter() *clientFilter {
	return newClientFilter(newAgreed(640, 480), false, func(ClientMessageType) {}, 0)
}

// Whatever a viewer goes on sending costs no memory.
func TestFilterAllocatesNothing(t *testing.T) {
	f, now := benchFilter(), epoch
	for _, m := range []Message{
		&FramebufferUpdateRequest{true, Rect{0, 0, 640, 480}}, &PointerEvent{X: 1}, &KeyEvent{true, 'a'}, &SetEncodings{noVNCEncodings},
		&CutText{From: FromViewer, Text: []byte("text")}, &QEMUKeyEvent{true, 'a', 30},
	} {
		in := wire(t, m)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			f.out = f.out[:0]
			now = now.Add(time.Second)
			if n, err := f.feed(now, in); n != len(in) || err != nil {
				panic(err)
			}
		}), "%T", m)
	}
}
