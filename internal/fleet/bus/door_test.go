package bus_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
)

// Who connects and says nothing keeps nobody out: the oldest of them goes.
func TestStrangersOfTheBus(t *testing.T) {
	keys, s, _, _ := bounded(t)
	const crowd = 1100 // beyond what one address may have
	list := make([]net.Conn, 0, crowd)
	for range crowd {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "nats://"))
		require.NoError(t, err)
		defer c.Close()
		list = append(list, c)
	}
	_, err := bufio.NewReaderSize(list[crowd-1], 16).ReadByte() // it is in
	require.NoError(t, err)
	ended(t, list[0])
	_, nc, _ := member(t, keys, s.URL(), "vda1")
	require.NoError(t, nc.FlushTimeout(patience))
}

// ended waits until a connection is closed from the other end.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	said, err := io.ReadAll(c)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NotContains(t, string(said), "Timeout", "it had a place until then")
}

// One host's key holds few connections: the oldest goes, and its holder isn't kept out, nor is anybody else.
func TestConnectionsOfOneHost(t *testing.T) {
	keys, s, gate, _ := bounded(t)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := keys.Host("vda1", public)
	require.NoError(t, err)
	closed := make(chan int, 100)
	const conns = 20
	for i := range conns {
		nc, err := nats.Connect(s.URL(), nats.UserJWT(func() (string, error) { return token, nil }, key.Sign), nats.NoReconnect(),
			nats.CustomInboxPrefix(fleet.HostInbox("vda1")), nats.ClosedHandler(func(*nats.Conn) { closed <- i }))
		require.NoError(t, err)
		defer nc.Close()
	}
	gone := map[int]bool{}
	for range conns - 4 {
		select {
		case i := <-closed:
			gone[i] = true
		case <-time.After(patience):
			t.Fatal("they all stay")
		}
	}
	for i := range conns - 4 {
		assert.True(t, gone[i], fmt.Sprint(i, " stays"))
	}
	for i := range conns { // a gate's keys are another's each
		c, err := keys.Connect(t.Context(), fmt.Sprint("gate", i), bus.Target{Servers: []string{s.URL()}, Once: true})
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.NATS.FlushTimeout(patience))
	}
	require.NoError(t, gate.NATS.FlushTimeout(patience))
}

// A command of the gate's gets in while strangers and a host hold what they can, and shows its key to nobody who listens
// at the bus's port in the gate's place.
func TestCommandsComeByThemselves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	keys, err := bus.OpenKeys(dir, true)
	require.NoError(t, err)
	s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	to := bus.Target{Dir: dir, Once: true}
	c, err := keys.Connect(t.Context(), "gate1", to)
	require.NoError(t, err)
	require.NoError(t, c.NATS.FlushTimeout(patience))
	c.Close()

	folder := filepath.Join(dir, "commands")
	require.NoError(t, os.Chmod(folder, 0o755))
	_, err = keys.Connect(t.Context(), "gate1", to)
	require.ErrorContains(t, err, "isn't a folder that is the gate's alone")
	require.NoError(t, os.Chmod(folder, 0o700))
	s.Close()
	_, err = keys.Connect(t.Context(), "gate1", to)
	require.Error(t, err)
	s, err = bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	c, err = keys.Connect(t.Context(), "gate1", to)
	require.NoError(t, err)
	c.Close()
}

// Who is refused hears why, every time: a host says so in its log.
func TestRefusedKeysAreTold(t *testing.T) {
	_, s, _, _ := bounded(t)
	other, err := bus.OpenKeys(t.TempDir(), true) // of another fleet
	require.NoError(t, err)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := other.Host("vda1", public)
	require.NoError(t, err)
	for range 200 {
		_, err := nats.Connect(s.URL(), nats.UserJWT(func() (string, error) { return token, nil }, key.Sign), nats.NoReconnect())
		require.ErrorIs(t, err, nats.ErrAuthorization)
	}
}

// There is room for as many hosts as half of the descriptors are: with the unit's for three times those of docs/scale.md. When
// the house is full the newest hears that, the gate's log has it, and nobody else goes.
func TestFullBus(t *testing.T) {
	assert.Equal(t, 32<<10, bus.GuestsOf(65536))
	assert.Equal(t, 256, bus.GuestsOf(100))
	assert.Equal(t, 64<<10, bus.GuestsOf(1<<63))

	keys, s, _, log := bounded(t)
	s.LimitGuests(3)
	var in []*nats.Conn
	for i := range 3 {
		_, nc, _ := member(t, keys, s.URL(), fmt.Sprint("vda", i))
		in = append(in, nc)
	}
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := keys.Host("vda9", public)
	require.NoError(t, err)
	_, err = nats.Connect(s.URL(), nats.UserJWT(func() (string, error) { return token, nil }, key.Sign), nats.NoReconnect())
	require.ErrorContains(t, err, "maximum connections exceeded")
	log.wait(t, "the bus is full: it takes 3 connections of hosts")
	for _, nc := range in {
		require.NoError(t, nc.FlushTimeout(patience))
	}
	in[0].Close()
	require.Eventually(t, func() bool {
		nc, err := nats.Connect(s.URL(), nats.UserJWT(func() (string, error) { return token, nil }, key.Sign), nats.NoReconnect())
		if err != nil {
			return false
		}
		nc.Close()
		return true
	}, patience, 50*time.Millisecond)
}
