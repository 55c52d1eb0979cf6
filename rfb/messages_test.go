package rfb

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb/internal/proto"
)

func TestMessagesAreWhatTheSpecificationSays(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message any
		empty   any
		bytes   string
	}{
		{"PixelFormat", &pinned, new(PixelFormat), "20 18 00 01 00ff 00ff 00ff 00 08 10 000000"},
		{"PixelFormat, 16 bits big endian", &PixelFormat{16, 15, true, true, 31, 63, 30, 11, 5, 1}, new(PixelFormat), "10 0f 01 01 001f 003f 001e 0b 05 01 000000"},
		{"SetPixelFormat", &SetPixelFormat{pinned}, new(SetPixelFormat), "00 000000 20 18 00 01 00ff 00ff 00ff 00 08 10 000000"},
		{"SetEncodings", &SetEncodings{[]Encoding{7, -239}}, new(SetEncodings), "02 00 0002 00000007 ffffff11"},
		{"SetEncodings, none", &SetEncodings{}, new(SetEncodings), "02 00 0000"},
		{"FramebufferUpdateRequest", &FramebufferUpdateRequest{true, Rect{1, 2, 0x0304, 5}}, new(FramebufferUpdateRequest), "03 01 0001 0002 0304 0005"},
		{"ServerInit", &ServerInit{800, 600, pinned, "né"}, new(ServerInit), "0320 0258 20 18 00 01 00ff 00ff 00ff 00 08 10 000000 00000003 6ec3a9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.bytes)
			got, err := appended(tt.message, []byte("before"))
			require.NoError(t, err)
			assert.Equal(t, append([]byte("before"), want...), got)

			require.NoError(t, read(tt.empty, want))
			assert.Equal(t, tt.message, tt.empty)
			for n := range want {
				assert.Error(t, read(tt.empty, want[:n]), "first %d bytes", n)
			}
			assert.Error(t, read(tt.empty, append(want, 0)))
		})
	}
}

func TestPixelFormatFlagsAreTrueUnlessZero(t *testing.T) {
	var f PixelFormat
	require.NoError(t, f.UnmarshalBinary(unhex(t, "20 18 02 ff 00ff 00ff 00ff 00 08 10 010203")))
	assert.True(t, f.BigEndian)
	assert.True(t, f.TrueColor)
}

func TestPixelSizes(t *testing.T) {
	for _, tt := range []struct {
		format      PixelFormat
		size, tight int
	}{
		{pinned, 4, 3},
		{PixelFormat{32, 24, true, true, 255, 255, 255, 16, 8, 0}, 4, 3},
		{PixelFormat{32, 24, false, true, 255, 255, 127, 16, 8, 0}, 4, 4},
		{PixelFormat{32, 32, false, true, 255, 255, 255, 16, 8, 0}, 4, 4},
		{PixelFormat{16, 24, false, true, 255, 255, 255, 0, 0, 0}, 2, 2},
		{PixelFormat{8, 8, false, false, 0, 0, 0, 0, 0, 0}, 1, 1},
	} {
		assert.Equal(t, tt.size, tt.format.size(), "%v", tt.format)
		assert.Equal(t, tt.tight, tt.format.tightSize(), "%v", tt.format)
	}
}

func TestSetEncodingsTooMany(t *testing.T) {
	b, err := AppendMessage([]byte("x"), &SetEncodings{make([]Encoding, 1<<16)})
	assert.ErrorIs(t, err, ErrLimit)
	assert.Equal(t, []byte("x"), b)
}

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]ProtocolVersion{
		"RFB 003.003\n": {3, 3}, "RFB 003.007\n": {3, 7}, "RFB 003.008\n": {3, 8},
		"RFB 003.889\n": {3, 889}, "RFB 005.000\n": {5, 0}, "RFB 000.000\n": {0, 0},
	} {
		v, err := ParseVersion([]byte(in))
		require.NoError(t, err, in)
		assert.Equal(t, want, v)
		assert.Equal(t, in, string(v.message()))
	}
	for _, in := range []string{
		"", "RFB 003.008", "RFB 003.008\r", "RFB 3.8\n\n\n\n\n", "RFB 003 008\n", "rfb 003.008\n",
		"RFB 003.00 \n", "RFB -03.008\n", "RFB 003.008\n\n", "GET / HTTP/1", "RFB 0x3.008\n", "RFB 003.0:8\n",
	} {
		_, err := ParseVersion([]byte(in))
		assert.ErrorIs(t, err, ErrMalformed, "%q", in)
	}
}

func TestRects(t *testing.T) {
	const w, h = 100, 50
	for _, tt := range []struct {
		in, want Rect
		inside   bool
	}{
		{Rect{0, 0, 100, 50}, Rect{0, 0, 100, 50}, true},
		{Rect{10, 20, 5, 6}, Rect{10, 20, 5, 6}, true},
		{Rect{0, 0, 65535, 65535}, Rect{0, 0, 100, 50}, false},
		{Rect{99, 49, 65535, 65535}, Rect{99, 49, 1, 1}, false},
		{Rect{100, 0, 1, 1}, Rect{}, false},
		{Rect{0, 50, 1, 1}, Rect{}, false},
		{Rect{65535, 65535, 65535, 65535}, Rect{}, false},
		{Rect{1, 0, 65535, 1}, Rect{1, 0, 99, 1}, false}, // 1 + 65535 mustn't wrap
	} {
		assert.Equal(t, tt.want, tt.in.clamp(w, h), "%v", tt.in)
		assert.Equal(t, tt.inside, tt.in.inside(w, h), "%v", tt.in)
	}
	assert.Equal(t, Rect{1, 2, 19, 28}, Rect{1, 20, 4, 10}.union(Rect{10, 2, 10, 3}))
	assert.Equal(t, Rect{1, 2, 3, 4}, Rect{}.union(Rect{1, 2, 3, 4}))
	assert.Equal(t, Rect{1, 2, 3, 4}, Rect{1, 2, 3, 4}.union(Rect{}))
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"user's X11 desktop (vda1:1)": "user's X11 desktop (vda1:1)",
		"Büro 東京":                     "Büro 東京",
		" a\x00\x1b[31m\nb\tc ":       "a[31m b c",
		"safe\u202egnp.exe\u2066":     "safegnp.exe",
		"bad \xff\xfe utf":            "bad ? utf",
		strings.Repeat("é", 1000):     strings.Repeat("é", 128),
	} {
		assert.Equal(t, want, proto.CleanText(in, 256))
	}
}

func TestCloseCodes(t *testing.T) {
	for _, tt := range []struct {
		d    Direction
		err  error
		want int
	}{
		{FromViewer, ErrMalformed, 1002},
		{FromViewer, fmt.Errorf("%w: KeyEvent", ErrForbidden), 1008},
		{FromViewer, fmt.Errorf("%w: too long", ErrLimit), 1009},
		{FromViewer, errors.New("other"), 1002},
		{FromServer, ErrMalformed, 1011},
		{FromServer, ErrForbidden, 1011},
		{FromServer, ErrLimit, 1011},
	} {
		e := &ProtocolError{tt.d, 7, tt.err}
		assert.Equal(t, tt.want, e.CloseCode())
		assert.ErrorIs(t, e, tt.err)
	}
	assert.EqualError(t, &ProtocolError{FromViewer, 7, ErrForbidden}, "rfb: viewer: byte 7: forbidden by the policy")
	assert.EqualError(t, &ConnError{FromServer, io.EOF}, "rfb: server's connection: EOF")
}

func TestNames(t *testing.T) {
	assert.Equal(t, "PointerEvent", ClientPointerEvent.String())
	assert.Equal(t, "ClientMessageType(99)", ClientMessageType(99).String())
	assert.Equal(t, "ServerCutText", ServerCutText.String())
	assert.Equal(t, "ServerMessageType(99)", ServerMessageType(99).String())
	assert.Equal(t, "VeNCrypt", SecurityVeNCrypt.String())
	assert.Equal(t, "SecurityType(99)", SecurityType(99).String())
	assert.Equal(t, "Tight", EncodingTight.String())
	assert.Equal(t, "Quality6", Encoding(-26).String())
	assert.Equal(t, "Compress2", Encoding(-254).String())
	assert.Equal(t, "Hint(-412)", Encoding(-412).String())
	assert.Equal(t, "Encoding(-9999)", Encoding(-9999).String())
}
