package portpool

import (
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
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

// A connection that Accept took from the kernel while the listening ended is reset, as those are that
// the kernel still had, and isn't closed as if it had been served.
func TestAcceptAfterTheEndResets(t *testing.T) {
	p := Pool{Host: "127.0.0.1"}
	l, err := p.Listen(t.Context())
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	conn, err := l.tcp.AcceptTCP()
	require.NoError(t, err)
	require.NoError(t, l.Hold())

	_, err = l.accepted(conn, nil)
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, client.SetDeadline(time.Now().Add(time.Minute)))
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// A port is never unbound while it is inherited: it is the same socket that
// listens again, although connections of its former life are there.
func TestInheritKeepsTheSocket(t *testing.T) {
	var p Pool
	p.Host = "127.0.0.1"
	a, err := p.Listen(t.Context())
	require.NoError(t, err)
	defer a.Close()
	inode := func(l *Listener) (ino uint64) {
		raw, err := l.tcp.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			var st unix.Stat_t
			require.NoError(t, unix.Fstat(int(fd), &st))
			ino = st.Ino
		}))
		return ino
	}
	before := inode(a)
	client, err := net.Dial("tcp", a.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := a.Accept()
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, a.Hold())

	b, err := a.inherit()
	require.NoError(t, err)
	require.Equal(t, before, inode(b))
	require.NoError(t, b.Close())
}

// An inherited port counts as handed out: the search for the next one goes on
// behind it.
func TestSearchGoesOnBehindAnInheritedPort(t *testing.T) {
	first := testenv.Ports(t, 3)
	p := &Pool{Host: "127.0.0.1", First: first, Last: first + 2}
	var all []*Listener
	for range 3 {
		l, err := p.Listen(t.Context())
		require.NoError(t, err)
		defer l.Close()
		all = append(all, l)
	}
	middle, err := p.Replace(t.Context(), all[1])
	require.NoError(t, err)
	defer middle.Close()
	require.NoError(t, all[0].Close())
	require.NoError(t, all[2].Close())
	next, err := p.Listen(t.Context())
	require.NoError(t, err)
	defer next.Close()
	require.Equal(t, all[2].Port(), next.Port())
}
