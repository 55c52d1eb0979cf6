package portpool_test

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/portpool"
)

// A reserved port is nobody else's, and nobody can connect to it before it listens.
func TestReserve(t *testing.T) {
	for _, host := range []string{"", "::", "0.0.0.0", "127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			first := testenv.Ports(t, 1)
			pool := &portpool.Pool{Host: host, First: first, Last: first}
			l, err := pool.Reserve(t.Context())
			require.NoError(t, err)
			assert.Equal(t, first, l.Port())
			assert.Equal(t, 1, pool.InUse())
			to := "127.0.0.1"
			if host == "::1" {
				to = host
			}
			address := net.JoinHostPort(to, strconv.Itoa(first))
			_, err = net.Dial("tcp", address)
			require.Error(t, err, "it listens")
			_, err = net.Listen("tcp", address)
			require.Error(t, err, "another program can have it")
			_, err = pool.Reserve(t.Context())
			require.ErrorIs(t, err, portpool.ErrExhausted)

			require.NoError(t, l.Listen())
			require.NoError(t, l.Listen())
			c, err := net.Dial("tcp", address)
			require.NoError(t, err)
			defer c.Close()
			got, err := l.Accept()
			require.NoError(t, err)
			require.NoError(t, got.Close())
			require.NoError(t, l.Close())
			assert.Zero(t, pool.InUse())
			require.ErrorIs(t, l.Listen(), net.ErrClosed)

			// What is left of connections doesn't keep the port from being had again.
			again, err := pool.Reserve(t.Context())
			require.NoError(t, err)
			require.NoError(t, again.Close())
		})
	}
}

// Ports that others hold are left out.
func TestReserveSkipsWhatOthersHold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	_, err = (&portpool.Pool{First: port, Last: port}).Reserve(t.Context())
	require.ErrorIs(t, err, portpool.ErrExhausted)
	_, err = (&portpool.Pool{Host: "192.0.2.7", First: port, Last: port}).Reserve(t.Context())
	require.ErrorContains(t, err, "cannot assign requested address")
}

func TestReaches(t *testing.T) {
	v4, v6, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1")
	for host, want := range map[string][3]bool{
		"": {true, true, true}, "::": {true, true, true}, "0.0.0.0": {true, false, true},
		"192.0.2.9": {true, false, true}, "2001:db8::9": {false, true, false}, "nonsense": {},
	} {
		p := &portpool.Pool{Host: host}
		assert.Equal(t, want, [3]bool{p.Reaches(v4), p.Reaches(v6), p.Reaches(mapped)}, host)
	}
}
