package fleethosts

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/hosts"
)

// A granted port is dialled where the host enrolled from, whatever the host calls itself.
func TestDialIgnoresTheHostsWord(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	h := newHost(nil, fleet.Enrolled{ID: "vda1", Address: "127.0.0.1"})
	h.d, h.heard = New(nil, Options{}), time.Now()
	for _, word := range []string{"192.0.2.1", "elsewhere.invalid", "vda1"} {
		c, err := h.Dial(t.Context(), hosts.Target{Host: word, Port: port})
		require.NoError(t, err, word)
		require.Equal(t, "127.0.0.1", c.RemoteAddr().(*net.TCPAddr).IP.String())
		require.NoError(t, c.Close())
	}
	// A name is the host's own word, too: this one leads to a port of the gate's machine.
	h.enrolled = fleet.Enrolled{ID: "vda1", Name: "localhost", Address: "192.0.2.1"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = h.Dial(ctx, hosts.Target{Host: "localhost", Port: port})
	require.Error(t, err)
	h.enrolled.Address = ""
	_, err = h.Dial(t.Context(), hosts.Target{Host: "127.0.0.1", Port: port})
	require.ErrorContains(t, err, "isn't known")
}

// A gate that has only begun doesn't know yet that a host is to dial. It waits until it does, and connects to
// nothing.
func TestDialBeforeTheHostIsKnown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	h := newHost(New(nil, Options{}), fleet.Enrolled{ID: "vda1", Address: "127.0.0.1"})
	done := make(chan error, 1)
	go func() {
		_, err := h.Dial(t.Context(), hosts.Target{Host: "vda1", Port: ln.Addr().(*net.TCPAddr).Port})
		done <- err
	}()
	time.Sleep(10 * time.Millisecond) // so that it is likely to be there first
	h.present(&fleet.Presence{ID: "vda1", Time: time.Now(), DialsOut: true}, 0)
	require.ErrorContains(t, <-done, "dials for its views")
	h.leave("it was only a test")
	_, err = h.Dial(t.Context(), hosts.Target{Host: "vda1", Port: ln.Addr().(*net.TCPAddr).Port})
	require.ErrorContains(t, err, "dials for its views", "it is known what it was")
	require.NoError(t, ln.(*net.TCPListener).SetDeadline(time.Now()))
	_, err = ln.Accept()
	require.Error(t, err, "it was dialled as a port")
}

// Where a host may have moved to: not into the gate's own machine or link.
func TestDialable(t *testing.T) {
	for _, c := range []struct {
		now, own string
		want     bool
	}{
		{"10.0.0.2", "10.0.0.1", true}, {"2001:db8::2", "10.0.0.1", true}, {"127.0.0.1", "127.0.0.9", true},
		{"127.0.0.1", "10.0.0.1", false}, {"::1", "10.0.0.1", false}, {"169.254.169.254", "10.0.0.1", false}, {"fe80::1", "10.0.0.1", false}, {"0.0.0.0", "10.0.0.1", false},
	} {
		require.Equal(t, c.want, dialable(netip.MustParseAddr(c.now), netip.MustParseAddr(c.own)), "%v", c)
	}
}

// A host whose name leads elsewhere than to where it enrolled from isn't dialled at all: another machine may
// have its address by now. The special addresses that a name may have don't matter.
func TestMoved(t *testing.T) {
	a := netip.MustParseAddr
	for _, c := range []struct {
		own   string
		found []string
		want  bool
	}{
		{"192.0.2.1", nil, false},
		{"192.0.2.1", []string{"192.0.2.1"}, false},
		{"192.0.2.1", []string{"10.0.0.1", "192.0.2.1"}, false},
		{"192.0.2.1", []string{"10.0.0.1"}, true},
		{"192.0.2.1", []string{"2001:db8::1"}, true},
		{"192.0.2.1", []string{"127.0.1.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0"}, false},
		{"127.0.0.1", []string{"10.0.0.1"}, false},
	} {
		var found []netip.Addr
		for _, f := range c.found {
			found = append(found, a(f))
		}
		require.Equal(t, c.want, moved(a(c.own), found), "%v", c)
	}
}
