package portpool_test

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/portpool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freeRange finds n consecutive ports that nobody has, below the ports that
// the kernel picks for clients and away from the default range, in which other
// tests' X servers may live. It returns the first.
func freeRange(t *testing.T, n int) int {
	t.Helper()
next:
	for range 100 {
		first := 10000 + rand.IntN(20000)
		for port := first; port < first+n; port++ {
			ln, err := net.Listen("tcp", ":"+strconv.Itoa(port))
			if err != nil {
				continue next
			}
			require.NoError(t, ln.Close())
		}
		return first
	}
	require.FailNow(t, "no free range of ports on this machine", "%d ports wanted", n)
	return 0
}

func newPool(t *testing.T, n int) *portpool.Pool {
	t.Helper()
	first := freeRange(t, n)
	return &portpool.Pool{First: first, Last: first + n - 1}
}

func listen(t *testing.T, p *portpool.Pool) *portpool.Listener {
	t.Helper()
	l, err := p.Listen(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// dial connects to port on host.
func dial(t *testing.T, host string, port int) net.Conn {
	t.Helper()
	c, err := tryDial(host, port)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(testenv.Patience)))
	return c
}

func tryDial(host string, port int) (net.Conn, error) {
	return net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), testenv.Patience)
}

// connect dials l and accepts the connection.
func connect(t *testing.T, l *portpool.Listener) (client, server net.Conn) {
	t.Helper()
	client = dial(t, "127.0.0.1", l.Port())
	server, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	require.NoError(t, server.SetDeadline(time.Now().Add(testenv.Patience)))
	assert.Equal(t, client.LocalAddr().(*net.TCPAddr).Port, server.RemoteAddr().(*net.TCPAddr).Port)
	return client, server
}

// requireTalks checks that what one end writes arrives at the other.
func requireTalks(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, c := range [][2]net.Conn{{a, b}, {b, a}} {
		_, err := c[0].Write([]byte("x"))
		require.NoError(t, err)
		buf := make([]byte, 1)
		_, err = c[1].Read(buf)
		require.NoError(t, err)
	}
}

// A holder is a socket of some other program.
type holder struct {
	name   string
	addr   unix.Sockaddr
	v6only bool
}

var (
	loopback4  = holder{"127.0.0.1", &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, false}
	any4       = holder{"0.0.0.0", &unix.SockaddrInet4{}, false}
	loopback6  = holder{"[::1]", &unix.SockaddrInet6{Addr: [16]byte{15: 1}}, false}
	any6       = holder{"[::] IPv6 only", &unix.SockaddrInet6{}, true}
	any46      = holder{"[::] dual", &unix.SockaddrInet6{}, false}
	holders    = []holder{loopback4, any4}
	loopbacks  = []string{"127.0.0.1"}
	withoutIP6 = true
)

// Where the machine has no IPv6, containers for example, what is left is
// tested.
func init() {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return
	}
	_ = ln.Close()
	withoutIP6 = false
	holders = append(holders, loopback6, any6, any46)
	loopbacks = append(loopbacks, "::1")
}

// bind binds a socket as h describes, with the given socket options on, and
// listens unless that is left out.
func (h holder) bind(port int, listen bool, options ...int) (fd int, err error) {
	family := unix.AF_INET
	switch a := h.addr.(type) {
	case *unix.SockaddrInet4:
		a.Port = port
	case *unix.SockaddrInet6:
		a.Port = port
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if family == unix.AF_INET6 {
		v := 0
		if h.v6only {
			v = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v); err != nil {
			return -1, err
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 1); err != nil {
			return -1, err
		}
	}
	if err := unix.Bind(fd, h.addr); err != nil {
		return -1, err
	}
	if listen {
		err = unix.Listen(fd, 1)
	}
	return fd, err
}

func TestZeroPool(t *testing.T) {
	var p portpool.Pool
	l := listen(t, &p)
	assert.GreaterOrEqual(t, l.Port(), 6001)
	assert.LessOrEqual(t, l.Port(), 6099)
	assert.Equal(t, l.Port(), l.Addr().(*net.TCPAddr).Port)
	for _, host := range loopbacks {
		c := dial(t, host, l.Port())
		s, err := l.Accept()
		require.NoError(t, err)
		requireTalks(t, c, s)
		require.NoError(t, s.Close())
	}
}

func TestHost(t *testing.T) {
	for _, tc := range []struct {
		host    string
		on, off []string
	}{
		{"", loopbacks, nil},
		{"::", loopbacks, nil},
		{"0.0.0.0", []string{"127.0.0.1", "127.0.0.2"}, []string{"::1"}},
		{"127.0.0.1", []string{"127.0.0.1"}, []string{"127.0.0.2", "::1"}},
		{"::ffff:127.0.0.1", []string{"127.0.0.1"}, []string{"127.0.0.2", "::1"}},
		{"::1", []string{"::1"}, []string{"127.0.0.1"}},
	} {
		if tc.host == "::1" && withoutIP6 {
			continue
		}
		t.Run(tc.host, func(t *testing.T) {
			p := newPool(t, 1)
			p.Host = tc.host
			l := listen(t, p)
			for _, host := range tc.on {
				dial(t, host, l.Port())
			}
			for _, host := range tc.off {
				_, err := tryDial(host, l.Port())
				assert.Error(t, err, host)
			}
		})
	}
}

func TestNonsense(t *testing.T) {
	for _, tc := range []struct {
		pool *portpool.Pool
		want string
	}{
		{&portpool.Pool{First: 6099, Last: 6001}, "portpool: the range 6099-6001 is empty: its first port is above its last"},
		{&portpool.Pool{First: 7000}, "portpool: the range 7000-6099 is empty: its first port is above its last"},
		{&portpool.Pool{First: -1}, "portpool: -1 is not a port number; use 1 to 65535"},
		{&portpool.Pool{Last: 65536}, "portpool: 65536 is not a port number; use 1 to 65535"},
		{&portpool.Pool{Host: "localhost"}, `portpool: "localhost" is not an IP address to listen on; use "0.0.0.0", "::" or an address of this host`},
		{&portpool.Pool{Host: "[::1]"}, `portpool: "[::1]" is not an IP address to listen on; use "0.0.0.0", "::" or an address of this host`},
	} {
		_, err := tc.pool.Listen(t.Context())
		assert.EqualError(t, err, tc.want)
	}
}

func TestOtherErrorsAreNotHeld(t *testing.T) {
	p := newPool(t, 3)
	p.Host = "192.0.2.254" // documentation address (RFC 5737), not this host's
	_, err := p.Listen(t.Context())
	require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
	assert.NotErrorIs(t, err, portpool.ErrExhausted)
	assert.True(t, strings.HasPrefix(err.Error(), "portpool: listen tcp 192.0.2.254:"), err.Error())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = newPool(t, 1).Listen(ctx)
	assert.ErrorIs(t, err, context.Canceled)
}

// X servers and sshd listen in the range, on addresses that overlap with ours
// or don't.
func TestSkipsHeldPorts(t *testing.T) {
	overlap := map[string]string{ // pool's host: holders in its way
		"":          "127.0.0.1, 0.0.0.0, [::1], [::] IPv6 only, [::] dual",
		"0.0.0.0":   "127.0.0.1, 0.0.0.0, [::] dual",
		"127.0.0.1": "127.0.0.1, 0.0.0.0, [::] dual",
		"::1":       "[::1], [::] IPv6 only, [::] dual",
	}
	for host, inTheWay := range overlap {
		if host == "::1" && withoutIP6 {
			continue
		}
		for _, h := range holders {
			t.Run(host+" and "+h.name, func(t *testing.T) {
				p := newPool(t, 2)
				p.Host = host
				fd, err := h.bind(p.First, true, unix.SO_REUSEADDR)
				require.NoError(t, err)
				defer unix.Close(fd)

				l := listen(t, p)
				if strings.Contains(inTheWay, h.name) {
					require.Equal(t, p.Last, l.Port())
					_, err = p.Listen(t.Context())
					var exhausted *portpool.ExhaustedError
					require.ErrorAs(t, err, &exhausted)
					assert.Equal(t, portpool.ExhaustedError{First: p.First, Last: p.Last, InUse: 1, Held: 1}, *exhausted)
				} else {
					require.Equal(t, p.First, l.Port())
				}
			})
		}
	}
}

// A port that somebody has bound without listening on it, and doesn't share,
// is held too; one that is given up is handed out.
func TestSkipsBoundPorts(t *testing.T) {
	fd, err := loopback4.bind(0, false)
	require.NoError(t, err)
	addr, err := unix.Getsockname(fd)
	require.NoError(t, err)
	port := addr.(*unix.SockaddrInet4).Port
	p := &portpool.Pool{First: port, Last: port}
	_, err = p.Listen(t.Context())
	require.ErrorIs(t, err, portpool.ErrExhausted)
	require.NoError(t, unix.Close(fd))
	listen(t, p)
}

func TestAll99AtOnce(t *testing.T) {
	p := newPool(t, 99)
	held, err := loopback4.bind(p.First+9, true, unix.SO_REUSEADDR)
	require.NoError(t, err)
	defer unix.Close(held)

	var wg sync.WaitGroup
	listeners := make([]*portpool.Listener, 98)
	errs := make([]error, 98)
	for i := range listeners {
		wg.Go(func() { listeners[i], errs[i] = p.Listen(t.Context()) })
	}
	wg.Wait()
	seen := make(map[int]bool)
	for i, l := range listeners {
		require.NoError(t, errs[i])
		defer l.Close()
		assert.False(t, seen[l.Port()], "port %d handed out twice", l.Port())
		seen[l.Port()] = true
		dial(t, "127.0.0.1", l.Port())
	}
	assert.Equal(t, 98, p.InUse())
	assert.False(t, seen[p.First+9])

	_, err = p.Listen(t.Context())
	require.ErrorIs(t, err, portpool.ErrExhausted)
	first, last := strconv.Itoa(p.First), strconv.Itoa(p.Last)
	assert.EqualError(t, err, "portpool: no port left in "+first+"-"+last+": 98 in use, 1 held by other programs")

	for _, l := range listeners {
		require.NoError(t, l.Close())
	}
	assert.Zero(t, p.InUse())
	require.NoError(t, unix.Close(held))
	for port := p.First; port <= p.Last; port++ {
		ln, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		require.NoError(t, err, "port %d was not released", port)
		require.NoError(t, ln.Close())
	}
}

func TestPortsGoInTurn(t *testing.T) {
	p := newPool(t, 3)
	for _, want := range []int{0, 1, 2, 0} {
		l := listen(t, p)
		assert.Equal(t, p.First+want, l.Port())
		require.NoError(t, l.Close())
	}
	stays := listen(t, p)
	assert.Equal(t, p.First+1, stays.Port())
	for _, want := range []int{2, 0, 2} {
		l := listen(t, p)
		assert.Equal(t, p.First+want, l.Port())
		require.NoError(t, l.Close())
	}
}
