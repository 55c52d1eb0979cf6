package portpool

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Another program that binds and listens between the two system calls of a
// take-over gets the port. Replace must notice, free the slot and look on.
func TestReplaceOfALostPort(t *testing.T) {
	probe, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	port := probe.Addr().(*net.TCPAddr).Port
	require.NoError(t, probe.Close())

	p := &Pool{First: port, Last: port}
	a, err := p.Listen(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.Hold())
	require.NoError(t, control(a.held, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}))
	thief, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	require.NoError(t, err)

	_, err = p.Replace(t.Context(), a)
	var exhausted *ExhaustedError
	require.ErrorAs(t, err, &exhausted)
	require.Equal(t, ExhaustedError{First: port, Last: port, Held: 1}, *exhausted)
	require.Zero(t, p.InUse())

	// One of which the kernel could not keep the port is bound anew.
	require.NoError(t, thief.Close())
	a, err = p.Listen(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.Hold())
	require.NoError(t, a.held.Close())
	b, err := p.Replace(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, port, b.Port())
	require.NoError(t, b.Close())
	require.Zero(t, p.InUse())
}
