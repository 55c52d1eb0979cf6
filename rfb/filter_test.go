package rfb

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// filtered is what a filter made of a stream.
type filtered struct {
	out   []byte
	drops []ClientMessageType
	err   error
	took  time.Duration // time that had to pass
}

// filter feeds parts of in, one after the other, going on to the next whenever
// the filter says so and, at the end, until nothing is due.
func filter(t testing.TB, in []byte, parts []int, width, height uint16) (r filtered) {
	t.Helper()
	var drops []ClientMessageType
	f := newClientFilter(newAgreed(width, height), false, func(m ClientMessageType) { drops = append(drops, m) }, 0)
	r = drive(t, f, in, parts)
	r.drops = drops
	return r
}

// drive is filter with a filter that is there already.
func drive(t testing.TB, f *clientFilter, in []byte, parts []int) (r filtered) {
	t.Helper()
	now := epoch
	feed := func(p []byte) bool {
		for {
			n, err := f.feed(now, p)
			require.LessOrEqual(t, len(f.out), 64+2*max(n, viewerBuffer), "out is bounded by what came in")
			r.out = append(r.out, f.out...)
			f.out = f.out[:0]
			if err != nil {
				r.err = err
				return false
			}
			if p = p[n:]; len(p) == 0 {
				return true
			}
			at := f.wake(true)
			require.True(t, at.After(now), "must not ask to be called again at once")
			now = at
		}
	}
	for _, n := range parts {
		if !feed(in[:n]) {
			return r
		}
		in = in[n:]
	}
	for at := f.wake(false); !at.IsZero() && r.err == nil && !f.inside(); at = f.wake(false) {
		require.True(t, at.After(now))
		now = at
		feed(nil)
	}
	r.took = now.Sub(epoch)
	return r
}

// whole feeds in at once.
func whole(t testing.TB, in []byte) filtered {
	return filter(t, in, []int{len(in)}, 640, 480)
}

// start is what every session sends first.
func start(t testing.TB) []byte { return wire(t, SetPixelFormat{pinned}) }

func TestFilterPasses(t *testing.T) {
	for _, tt := range []struct {
		name, in, out string
	}{
		{"nothing", "", ""},
		{"the pinned pixel format", "00 abcdef 20 18 00 ff 00ff 00ff 00ff 00 08 10 aabbcc", ""},
		{"one encoding", "02 ff 0001 00000007", "02 00 0001 00000007"},
		{"no encodings", "02 00 0000", "02 00 0001 00000000"},
		{"only hints and forbidden ones", "02 00 0003 ffffffe6 fffffefe ffffff21", "02 00 0003 ffffffe6 ffffff21 00000000"},
		{"each once", "02 00 0003 00000007 00000007 00000001", "02 00 0002 00000007 00000001"},
		{"incremental request", "03 01 0001 0002 0003 0004", "03 01 0001 0002 0003 0004"},
		{"a flag that isn't one", "03 ff 0001 0002 0003 0004", "03 01 0001 0002 0003 0004"},
		{"full request", "03 00 0000 0000 0280 01e0", "03 00 0000 0000 0280 01e0"},
		{"request beyond the framebuffer", "03 01 0001 0000 ffff ffff", "03 01 0001 0000 027f 01e0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := whole(t, unhex(t, tt.in))
			require.NoError(t, got.err)
			assert.Equal(t, append(start(t), unhex(t, tt.out)...), got.out)
			assert.Empty(t, got.drops)
		})
	}
}

func TestFilterDrops(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     ClientMessageType
	}{
		{"KeyEvent", "04 01 0000 0000ff0d", ClientKeyEvent},
		{"PointerEvent", "05 01 0010 0020", ClientPointerEvent},
		{"PointerEvent, top bit", "05 81 0010 0020", ClientPointerEvent},
		{"ClientCutText", "06 000000 00000003 616263", ClientCutText},
		{"ClientCutText, empty", "06 000000 00000000", ClientCutText},
		{"extended clipboard caps", "06 000000 fffffff8 01000001 00000000", ClientCutText},
		{"extended clipboard request", "06 000000 fffffffc 02000001", ClientCutText},
		{"KeepAlive", "0d", ClientMessageType(13)},
		{"SetDesktopSize", "fb 00 0400 0300 01 00 00000000 0000 0000 0400 0300 00000000", ClientSetDesktopSize},
		{"SetDesktopSize, no screen", "fb 00 0400 0300 00 00", ClientSetDesktopSize},
		{"QEMU key", "ff 00 0001 0000ff0d 0000001c", ClientQEMU},
		{"QEMU audio on", "ff 01 0000", ClientQEMU},
		{"QEMU audio off", "ff 01 0001", ClientQEMU},
		{"QEMU audio format", "ff 01 0002 03 02 0000ac44", ClientQEMU},
		{"request for nothing", "03 01 0000 0000 0000 0010", ClientFramebufferUpdateRequest},
		{"full request for nothing", "03 00 0000 0000 0010 0000", ClientFramebufferUpdateRequest},
		{"request outside the framebuffer", "03 00 0280 0000 0010 0010", ClientFramebufferUpdateRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := unhex(t, "03 01 0000 0000 0001 0001") // must still be read in step
			got := whole(t, append(unhex(t, tt.in), request...))
			require.NoError(t, got.err)
			assert.Equal(t, append(start(t), request...), got.out)
			assert.Equal(t, []ClientMessageType{tt.want}, got.drops)
		})
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"24 bits a pixel", "00 000000 18 18 00 01 00ff 00ff 00ff 10 08 00 000000", ErrMalformed},
		{"no bits a pixel", "00 000000 00 18 00 01 00ff 00ff 00ff 10 08 00 000000", ErrMalformed},
		{"64 bits a pixel", "00 000000 40 18 00 01 00ff 00ff 00ff 10 08 00 000000", ErrMalformed},
		{"more depth than bits", "00 000000 10 18 00 01 001f 003f 001f 0b 05 00 000000", ErrMalformed},
		{"a colour map of 16 bits", "00 000000 10 10 00 00 001f 003f 001f 0b 05 00 000000", ErrMalformed},
		{"a maximum that is no mask", "00 000000 20 18 00 01 00fe 00ff 00ff 10 08 00 000000", ErrMalformed},
		{"a colour without bits", "00 000000 20 18 00 01 00ff 0000 00ff 10 08 00 000000", ErrMalformed},
		{"a colour beyond the pixel", "00 000000 20 18 00 01 00ff 00ff 00ff 19 08 00 000000", ErrMalformed},
		{"a colour far beyond the pixel", "00 000000 20 18 00 01 00ff 00ff 00ff c8 08 00 000000", ErrMalformed},
		{"colours that overlap", "00 000000 20 18 00 01 00ff 00ff 00ff 10 09 00 000000", ErrMalformed},
		{"9 bits in 8", "00 000000 08 08 00 01 0007 0007 0007 00 03 06 000000", ErrMalformed},
		{"SetEncodings, too many", "02 00 0081", ErrLimit},
		{"SetEncodings, far too many", "02 00 ffff", ErrLimit},
		{"FixColourMapEntries", "01", ErrMalformed},
		{"ClientCutText, too long", "06 000000 04000001", ErrLimit},
		{"ClientCutText, 2 GiB", "06 000000 7fffffff", ErrLimit},
		{"extended clipboard, too long", "06 000000 fbffffff", ErrLimit},
		{"extended clipboard, no flags", "06 000000 fffffffd", ErrMalformed},
		{"extended clipboard, -2^31", "06 000000 80000000", ErrMalformed},
		{"QEMU, unknown", "ff 02 0000", ErrMalformed},
		{"QEMU audio, unknown", "ff 01 0003", ErrMalformed},
		{"FileTransfer", "07", ErrForbidden},
		{"SetScale", "08", ErrForbidden},
		{"SetServerInput", "09", ErrForbidden},
		{"SetSW", "0a", ErrForbidden},
		{"TextChat", "0b", ErrForbidden},
		{"KeyFrameRequest", "0c", ErrMalformed},
		{"Ultra reserved", "0e", ErrMalformed},
		{"Palm", "0f", ErrForbidden},
		{"Ultra 16", "10", ErrMalformed},
		{"RequestSession", "14", ErrForbidden},
		{"SetSession", "15", ErrForbidden},
		{"NotifyPluginStreaming", "50", ErrForbidden},
		{"VMware", "7f", ErrForbidden},
		{"MirrorLink", "80", ErrForbidden},
		{"unassigned", "81", ErrMalformed},
		{"Tight file list", "82", ErrForbidden},
		{"Tight create directory", "88", ErrForbidden},
		{"continuous updates", "96", ErrForbidden},
		{"video selection", "97", ErrForbidden},
		{"Kasm stats", "b2", ErrForbidden},
		{"Kasm clipboard", "b4", ErrForbidden},
		{"Kasm last", "bf", ErrForbidden},
		{"Replit", "f5", ErrForbidden},
		{"fence", "f8", ErrForbidden},
		{"OLIVE", "f9", ErrForbidden},
		{"xvp", "fa", ErrForbidden},
		{"Tight2", "fc", ErrForbidden},
		{"gii", "fd", ErrForbidden},
		{"VMware 2", "fe", ErrForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := unhex(t, "03 01 0000 0000 0001 0001")
			in := append(before, unhex(t, tt.in)...)
			got := whole(t, append(in, unhex(t, "03 01 0000 0000 0002 0002")...))
			require.ErrorIs(t, got.err, tt.want)
			var p *ProtocolError
			require.ErrorAs(t, got.err, &p)
			assert.Equal(t, FromViewer, p.Direction)
			assert.EqualValues(t, len(in), p.Offset)
			assert.Equal(t, append(start(t), before...), got.out, "nothing after it passes")
			assert.Empty(t, got.drops)
		})
	}
}

// Who has to find out what a viewer spoke is told after what, and none of the
// bytes: they may be a password that somebody typed. However it was cut.
func TestFilterTellsNothingThatWasTyped(t *testing.T) {
	secret := []byte("secret")
	bits := SetPixelFormat{PixelFormat{32, 24, false, true, 's'<<8 | 'e', 'c'<<8 | 'r', 'e'<<8 | 't', 'i', 'v', 'e'}}
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"the first":      {join([]byte{99}, secret), "ClientMessageType(99) has no known length; it comes first"},
		"after a key":    {join(wire(t, KeyEvent{true, 's'}), []byte{99}, secret), "ClientMessageType(99) has no known length; it comes after a KeyEvent"},
		"after a text":   {join(wire(t, CutText{From: FromViewer, Text: secret}), []byte{99}, secret), "; it comes after a ClientCutText"},
		"forbidden":      {join([]byte{11}, secret), "forbidden by the policy: TextChat"},
		"a pixel format": {wire(t, bits), "malformed RFB: a colour whose maximum isn't one less than a power of two"},
	} {
		for cut, parts := range cuts(len(tt.in)) {
			err := filter(t, tt.in, parts, 100, 50).err
			require.ErrorContains(t, err, tt.want, name+cut)
			for _, told := range []string{"secret", "73 65", "7365", "29541", "115 101"} {
				assert.NotContains(t, err.Error(), told, name+cut)
			}
		}
	}
}

// The quick path has the effect of the other one, whatever the policy, and in
// the middle of other messages.
func TestFilterIsTheSameInBothPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 8))
	side := func() uint16 { return uint16(r.IntN(800)) }
	for range 300 {
		var in []byte
		for range 1 + r.IntN(40) {
			var m Message
			switch r.IntN(8) {
			case 0, 1, 2:
				m = &FramebufferUpdateRequest{r.IntN(3) > 0, Rect{side(), side(), side(), side()}}
			case 3:
				m = &PointerEvent{Buttons: uint8(r.IntN(256)), X: side(), Y: side()}
			case 4:
				m = &KeyEvent{r.IntN(2) == 0, r.Uint32()}
			case 5:
				m = &CutText{From: FromViewer, Text: make([]byte, r.IntN(20))}
			default:
				list := slices.Clone(noVNCEncodings[:r.IntN(len(noVNCEncodings)+1)])
				r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				m = &SetEncodings{append(list, Encoding(r.IntN(9)))}
			}
			in = append(in, wire(t, m)...)
		}
		if r.IntN(3) == 0 {
			in = append(in, byte(r.IntN(256)), 1, 2, 3)
		}
		run := func(parts []int) filtered {
			var drops []ClientMessageType
			f := newClientFilter(newAgreed(640, 480), false, func(m ClientMessageType) { drops = append(drops, m) }, 7)
			got := drive(t, f, in, parts)
			got.drops = drops
			return got
		}
		ways := cuts(len(in))
		want := run(ways["bytes"])
		for name, parts := range ways {
			assert.Equal(t, want, run(parts), name)
		}
	}
}

// Every number either has a rule that a test above knows, or ends the session.
func TestFilterPassesThreeTypesOnly(t *testing.T) {
	var passing, agreed, dropping []ClientMessageType
	for m := range 256 {
		switch clientMessages[m].verdict {
		case passes:
			passing = append(passing, ClientMessageType(m))
		case agreedTo:
			agreed = append(agreed, ClientMessageType(m))
		case dropped:
			dropping = append(dropping, ClientMessageType(m))
		}
	}
	assert.Equal(t, []ClientMessageType{0, 2, 3}, passing)
	assert.Equal(t, []ClientMessageType{150, 248}, agreed)
	assert.Equal(t, []ClientMessageType{4, 5, 6, 13, 251, 255}, dropping)
}

func TestFilterReducesNoVNCsEncodings(t *testing.T) {
	got := whole(t, noVNC(t, 640, 480))
	require.NoError(t, got.err)
	assert.Equal(t, join(
		start(t),
		wire(t, SetEncodings{viewed}),
		wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 640, 480}}),
	), got.out)
}

func TestViewEncodings(t *testing.T) {
	many := make([]Encoding, 0, 128)
	for e := EncodingFineQuality0; len(many) < 127; e++ {
		many = append(many, e)
	}
	got, set := asksFor(nil, listed(t, append(many, EncodingTight)), false, true)
	assert.Len(t, got, maxEncodingsOut)
	assert.Equal(t, EncodingTight, got[maxEncodingsOut-1], "hints don't push out pixels")
	assert.Equal(t, encodingBit(EncodingTight), set)

	got, _ = asksFor(nil, listed(t, many), false, true)
	assert.Len(t, got, maxEncodingsOut)
	assert.Equal(t, EncodingRaw, got[maxEncodingsOut-1])

	got, set = asksFor(nil, listed(t, []Encoding{EncodingZRLE, EncodingDesktopName}), true, true)
	assert.Equal(t, []Encoding{EncodingZRLE}, got, "a name of our own isn't replaced by the server's")
	assert.Zero(t, set&encodingBit(EncodingDesktopName))
}

func TestFilterAllowsWhatItAskedFor(t *testing.T) {
	a := newAgreed(640, 480)
	f := newClientFilter(a, false, nil, 0)
	assert.True(t, a.allows(encodingBit(EncodingRaw)))
	assert.False(t, a.allows(encodingBit(EncodingTight)))
	for _, e := range []Encoding{EncodingTight, EncodingZRLE} {
		_, err := f.feed(epoch, wire(t, SetEncodings{[]Encoding{e}}))
		require.NoError(t, err)
	}
	assert.True(t, a.allows(encodingBit(EncodingTight)), "an update with the old encodings may be under way")
	assert.True(t, a.allows(encodingBit(EncodingZRLE)))
	assert.False(t, a.allows(encodingBit(EncodingHextile)))
}

func TestFilterGivesTheSameHoweverItIsCut(t *testing.T) {
	in := join(noVNC(t, 640, 480),
		unhex(t, "04 01 0000 0000ff0d 05 01 0010 0020 06 000000 00000103"), make([]byte, 0x103),
		unhex(t, "06 000000 fffffff8 01000001 00000000 0d ff 01 0002 03 02 0000ac44 ff 00 0001 0000ff0d 0000001c"),
		unhex(t, "03 01 0000 0000 0280 01e0 fb 00 0400 0300 01 00 00000000 0000 0000 0400 0300 00000000"),
		unhex(t, "03 01 0000 0000 0280 01e0 0a 01 0010 0020"))
	want := whole(t, in)
	require.ErrorIs(t, want.err, ErrForbidden)
	require.Len(t, want.drops, 8)
	for name, parts := range cuts(len(in)) {
		got := filter(t, in, parts, 640, 480)
		assert.Equal(t, want, got, name)
	}
}

// The smuggle that works against proxies which pass the version string on: the
// server skips SecurityResult and ClientInit for an Apple viewer, so what the
// proxy takes for ClientInit and a FramebufferUpdateRequest is a PointerEvent
// to the server. Here the version alone ends it (see
// TestVersionSmuggleAgainstX11vnc); the filter on its own writes a request
// clamped to nothing, which is none.
func TestFilterDoesNotPassSmuggledBytes(t *testing.T) {
	got := whole(t, unhex(t, "03 00 4d00 5800 0100 0100"))
	require.NoError(t, got.err)
	assert.Equal(t, start(t), got.out)
	assert.Equal(t, []ClientMessageType{ClientFramebufferUpdateRequest}, got.drops)
}
