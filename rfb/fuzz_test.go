package rfb

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a message parses to is written as a message that parses to the same.
func FuzzMessages(f *testing.F) {
	f.Add(wire(f, pinned))
	f.Add(wire(f, SetPixelFormat{format16}))
	f.Add(wire(f, SetEncodings{noVNCEncodings}))
	f.Add(wire(f, FramebufferUpdateRequest{true, Rect{1, 2, 3, 4}}))
	f.Add(wire(f, desktop))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []struct{ first, second any }{
			{new(PixelFormat), new(PixelFormat)},
			{new(SetPixelFormat), new(SetPixelFormat)},
			{new(SetEncodings), new(SetEncodings)},
			{new(FramebufferUpdateRequest), new(FramebufferUpdateRequest)},
			{new(ServerInit), new(ServerInit)},
		} {
			if read(m.first, b) != nil {
				continue
			}
			again := wire(t, m.first)
			assert.Len(t, again, len(b))
			require.NoError(t, read(m.second, again))
			assert.Equal(t, m.first, m.second)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	f.Add([]byte("RFB 003.008\n"))
	f.Add([]byte("RFB 3.8\n\n\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVersion(b)
		if err == nil {
			assert.Equal(t, b, v.message())
		}
	})
}

// A script is a connection to a peer that says what it says, whatever it hears.
type script struct {
	net.Conn
	say *bytes.Reader
}

func (s script) Read(p []byte) (int, error)     { return s.say.Read(p) }
func (script) Write(p []byte) (int, error)      { return len(p), nil }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }
func (script) Close() error                     { return nil }

// FuzzHandshakes says b to both halves. What comes of it is a session that may
// be, or an error that tells whose fault it was.
func FuzzHandshakes(f *testing.F) {
	f.Add(join([]byte("RFB 003.008\n"), []byte{1, 1}, u32(0), wire(f, desktop)))
	f.Add(join([]byte("RFB 003.008\n"), []byte{0}, u32(3), []byte("no!")))
	f.Add([]byte("RFB 003.003\n\x01"))
	f.Add([]byte("RFB 003.008\n\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error, peer Direction) {
			p, broke := errors.AsType[*ProtocolError](err)
			c, lost := errors.AsType[*ConnError](err)
			require.True(t, broke && p.Direction == peer || lost && c.Direction == peer && c.Err == io.EOF, "%v", err)
		}
		if c, err := (&Client{Password: "secret", Username: "user"}).Connect(t.Context(), script{say: bytes.NewReader(b)}); err != nil {
			check(err, FromServer)
		} else {
			assert.NoError(t, checkSize(c.Init.Width, c.Init.Height))
			assert.LessOrEqual(t, len(c.Init.Name), maxName)
			assert.LessOrEqual(t, int(c.read), len(b))
		}
		if _, err := (&Server{Init: shown}).Accept(t.Context(), script{say: bytes.NewReader(b)}); err != nil {
			check(err, FromViewer)
		}
		if err := Refuse(t.Context(), script{say: bytes.NewReader(b)}, "no"); err != nil {
			check(err, FromViewer)
		}
	})
}
