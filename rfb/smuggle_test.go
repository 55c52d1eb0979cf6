package rfb

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Ways to get input past a filter, by name. Each is what a viewer sends after
// the handshake; what reaches the server must be a valid view-only stream, and
// never anything of these bytes. (That of the version, against a real server:
// TestVersionSmuggleAgainstX11vnc.)
func TestSmuggles(t *testing.T) {
	pointer := "05 01 004d 0058"
	for _, tt := range []struct {
		name, in string
		want     error // nil: what was smuggled is dropped
		request  bool  // a request after it is still read in step
	}{
		{"PointerEvent of seven bytes, the last of which begins a KeyEvent", "05 80 0001 0002 04 01 0000 00000061", nil, true},
		{"PointerEvent of KasmVNC's eleven bytes", "05 0001 0010 0020 0a01 0010", ErrMalformed, false},
		{"negative clipboard that a server would read as 4 GiB", "06 000000 fffffffa 10000001 0501", nil, true},
		{"negative clipboard without its flags", "06 000000 fffffffd 05 01 00", ErrMalformed, false},
		{"clipboard of -2^31 bytes", "06 000000 80000000" + pointer, ErrMalformed, false},
		{"clipboard that hides a message in its text", "06 000000 00000006" + pointer, nil, true},
		{"SetSW, which moves the pointer in -viewonly", "0a 01 004d 0058", ErrForbidden, false},
		{"SetServerInput", "09 01 0000", ErrForbidden, false},
		{"SetScale by zero", "08 00 0000", ErrForbidden, false},
		{"Palm's scale by zero", "0f 00 0000", ErrForbidden, false},
		{"TextChat with a length that means no data", "0b 000000 ffffffff" + pointer, ErrForbidden, false},
		{"FileTransfer with a length that isn't one", "07 01 0000 00000000 00000000" + pointer, ErrForbidden, false},
		{"gii, whose length UltraVNC ignores", "fd 00 0006" + pointer, ErrForbidden, false},
		{"Tight file upload", "85 00 0006 0006" + pointer, ErrForbidden, false},
		{"NotifyPluginStreaming, to make the rest ciphertext", "50 00 0001" + pointer, ErrForbidden, false},
		{"MirrorLink's message around another", "80 01 0006" + pointer, ErrForbidden, false},
		{"xvp shutdown", "fa 00 01 02", ErrForbidden, false},
		{"fence that was not asked for", "f8 000000 80000007 06" + pointer, ErrForbidden, false},
		{"continuous updates that were not asked for", "96 01 0000 0000 0280 01e0", ErrForbidden, false},
		{"QEMU message of unknown length", "ff 05 0000" + pointer, ErrMalformed, false},
		{"QEMU key event", "ff 00 0001 00000061 0000001e", nil, true},
		{"SetDesktopSize with screens that hide messages", "fb 00 0400 0300 01 00" + pointer + pointer + "05010101", nil, true},
		{"unknown message", "63" + pointer, ErrMalformed, false},
		{"SetEncodings that turns capabilities on later", "02 00 0004 00000007 fffffefc fffffecb c0a1e5ce", nil, true},
		{"SetEncodings of 65535", "02 00 ffff" + pointer, ErrLimit, false},
		{"another pixel format, to move the server's framing", "00 000000 08 08 00 01 0007 0007 0003 00 03 06 000000", nil, true},
		{"request for nothing (CVE-2020-25708)", "03 00 0000 0000 0000 0000", nil, true},
		{"request whose place is a PointerEvent", "03 00 0503 004d 0058 0100", nil, true},
		{"request beyond the framebuffer", "03 01 0000 0000 ffff ffff", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			request := unhex(t, "03 01 0001 0001 0001 0001")
			for cut, parts := range cuts(len(in) + len(request)) {
				got := filter(t, append(in[:len(in):len(in)], request...), parts, 640, 480)
				assert.ErrorIs(t, got.err, tt.want, cut)
				require.NoError(t, checkViewOnly(got.out, 640, 480), cut)
				if tt.request {
					assert.Equal(t, request, got.out[len(got.out)-len(request):], cut)
				}
			}
		})
	}
}

// Ways through the handshake. The server is greeted already, in a way of its
// own; nothing that a viewer says in its handshake can reach it.
func TestHandshakeSmuggles(t *testing.T) {
	version := []byte("RFB 003.008\n")
	for name, says := range map[string][]byte{
		"Apple's version":           join([]byte("RFB 003.889\n"), unhex(t, "01 05 03 00 4d00 5800 0100 0100")),
		"a repeater's version":      join([]byte("RFB 000.000\n"), zeros(250)),
		"UltraVNC's question":       join([]byte("RFB 003.016\n"), []byte{1, 0, 0, 0}),
		"RealVNC's version":         join([]byte("RFB 005.000\n"), []byte{1, 1}),
		"libvncserver's loose scan": join([]byte("RFB 3.8\n\n\n\n\n"), []byte{1, 1}),
		"a browser's request":       []byte("GET / HTTP/1.1\r\n\r\n"),
		"UltraVNC's type 17":        join(version, []byte{17}),
		"VeNCrypt, to encrypt":      join(version, []byte{19}),
		"Tight, for its messages":   join(version, []byte{16}),
	} {
		t.Run(name, func(t *testing.T) {
			x := run(t, &Relay{})
			go io.Copy(io.Discard, x.viewer)
			go x.viewer.Write(says)
			assert.ErrorIs(t, x.ends(t), ErrMalformed)
		})
	}
	// ClientInit with UltraVNC's bit 2, which would have a text follow: here it
	// is one byte, and what follows is a message that must be one.
	x := run(t, &Relay{})
	x.viewer.gets(version)
	x.viewer.sends(version)
	x.viewer.gets([]byte{1, 1})
	x.viewer.sends([]byte{1})
	x.viewer.gets(u32(0))
	x.viewer.sends([]byte{2})
	x.viewer.gets(wire(t, shown))
	x.server.gets(start(t))
	x.viewer.sends([]byte{0x0a})
	assert.ErrorIs(t, x.ends(t), ErrForbidden)
}

// Everything at once, before any step was answered: it is taken in order, and
// nothing of it reaches the server but what a session may say.
func TestEarlyDataIsTakenInOrder(t *testing.T) {
	a, viewer := sockets(t)
	require.NoError(t, viewer.SetDeadline(time.Now().Add(waitFor)))
	serverConn, server := pipe(t)
	done := background(func() error { return new(Relay).Run(t.Context(), a, serverConn) })
	_, err := viewer.Write(join([]byte("RFB 003.008\n"), []byte{1, 1}, unhex(t, "04 01 0000 00000061 03 01 0000 0000 0280 01e0 0a 01 004d 0058")))
	require.NoError(t, err)
	server.serve(desktop)
	// What was complete before the forbidden message may have been sent or not.
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	if len(got) > 0 {
		require.NoError(t, checkViewOnly(got, 640, 480))
	}
	assert.ErrorIs(t, result(t, done), ErrForbidden)
}
