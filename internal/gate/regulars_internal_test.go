package gate

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair is a connection over TCP, and its other end.
func pair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	there, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	here, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// Who has many connections loses the oldest of them, and takes none from others.
func TestConnectionsOfOnePerson(t *testing.T) {
	var r regulars
	bobs, bob := pair(t)
	r.note(bobs, "bob")
	var all []net.Conn
	for range maxRegular + 2 {
		here, there := pair(t)
		r.note(here, "alice")
		r.note(here, "alice") // with each request
		all = append(all, there)
	}
	for _, gone := range all[:2] {
		require.NoError(t, gone.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err := gone.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
	r.leave(bobs)
	r.note(bobs, "bob")
	assert.Len(t, r.of["alice"], maxRegular)
	assert.Len(t, r.who, maxRegular+1)
	for _, still := range []net.Conn{bob, all[2]} {
		_, err := still.Write([]byte("x"))
		require.NoError(t, err)
	}
	r.leave(bobs)
	assert.NotContains(t, r.of, "bob")

	r = regulars{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	r.note(bobs, "bob") // a proxy's, which is everybody's
	assert.Empty(t, r.who)
}
