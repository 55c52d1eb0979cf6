package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/dial"
	"vda.internal/shadow/internal/testenv"
)

const (
	asServer = "SHADOW_TEST_NATS" // a configuration file: this process is to be a NATS server of somebody's own
	patience = 5 * time.Minute
)

func TestMain(m *testing.M) {
	if file := os.Getenv(asServer); file != "" {
		opts, err := server.ProcessConfigFile(file)
		if err == nil {
			var ns *server.Server
			if ns, err = server.NewServer(opts); err == nil {
				ns.Start()
				ns.WaitForShutdown()
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// prepared waits until the bus has what a fleet needs, and a gate takes what hosts say.
func prepared(t *testing.T, c *bus.Conn, size bus.Size) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) { require.NoError(t, c.Prepare(context.Background(), size)) }, patience, 200*time.Millisecond)
	stop, err := c.Relay(t.Context(), func(host, reply string) { t.Errorf("%s names %q", host, reply) })
	require.NoError(t, err)
	t.Cleanup(stop)
}

// member is a host's connection.
func member(t *testing.T, keys *bus.Keys, url, id string) (jetstream.JetStream, *nats.Conn, string) {
	t.Helper()
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := keys.Host(id, public)
	require.NoError(t, err)
	nc, err := nats.Connect(url, append(dial.Options(key, token), nats.CustomInboxPrefix(fleet.HostInbox(id)))...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js, nc, public
}

// tell publishes a line of the audit until the stream has it.
func tell(t *testing.T, js jetstream.JetStream, host, id string) (ack *jetstream.PubAck) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var err error
		ack, err = js.Publish(ctx, fleet.AuditSubject(host), []byte("{}"), jetstream.WithMsgID(id))
		require.NoError(t, err)
	}, patience, 100*time.Millisecond)
	return ack
}

// The same code with servers of one's own: their own process, configured by what bus-config prints. What they
// have taken outlives a kill, and a line that is told twice is there once.
func TestServersOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	text, err := keys.ServerConfig(filepath.Join(dir, "keys"))
	require.NoError(t, err)
	port := testenv.Ports(t, 1)
	file := filepath.Join(dir, "nats.conf")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "listen: %q\njetstream { store_dir: %q }\n%s", local(port), filepath.Join(dir, "data"), text), 0o600))
	start := func() (kill func()) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asServer+"="+file)
		var out bytes.Buffer
		cmd.Stderr = &out
		require.NoError(t, cmd.Start())
		kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
		t.Cleanup(kill)
		return kill
	}
	kill := start()
	url := "nats://" + local(port)
	gate, err := keys.Connect(t.Context(), "gate1", bus.Target{Servers: []string{url}})
	require.NoError(t, err)
	defer gate.Close()
	prepared(t, gate, bus.Size{})
	js, nc, public := member(t, keys, url, "vda1")
	first := tell(t, js, "vda1", "e1")
	kill()
	start()
	again := tell(t, js, "vda1", "e1")
	assert.True(t, again.Duplicate)
	assert.Equal(t, first.Sequence, again.Sequence)
	assert.Equal(t, first.Sequence+1, tell(t, js, "vda1", "e2").Sequence)
	prepared(t, gate, bus.Size{}) // what is kept in memory has to be made again

	// Revoked, once the configuration says so.
	require.NoError(t, keys.KeepRevoked(filepath.Join(dir, "keys"), []bus.Revocation{{Key: public, At: time.Now()}}))
	other, err := keys.ServerConfig(filepath.Join(dir, "keys"))
	require.NoError(t, err)
	require.NotEqual(t, text, other)
	require.True(t, nc.IsConnected())
	require.Equal(t, strings.Split(text, "\n")[:3], strings.Split(other, "\n")[:3], "servers reload no other operator than the one that they have begun with")
}

// A host that writes as much as it can leaves others their lines of the audit.
func TestAuditOfOneHost(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	server, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir})
	require.NoError(t, err)
	defer server.Close()
	gate, err := keys.Connect(t.Context(), "gate1", bus.Target{Server: server})
	require.NoError(t, err)
	defer gate.Close()
	prepared(t, gate, bus.Size{}) // as it was before there was a bound
	const room = 40 << 20
	prepared(t, gate, bus.Size{AuditBytes: room})
	quiet, _, _ := member(t, keys, server.URL(), "quiet")
	tell(t, quiet, "quiet", "e1")
	loud, _, _ := member(t, keys, server.URL(), "loud")
	long := bytes.Repeat([]byte("x"), fleet.MaxLine-1<<10)
	const lines = 2 * room / (fleet.MaxLine - 1<<10)
	for i := range lines {
		require.EventuallyWithT(t, func(t *assert.CollectT) { // beyond its rate nobody answers
			_, err := loud.Publish(context.Background(), fleet.AuditSubject("loud"), long, jetstream.WithMsgID(fmt.Sprint("l", i)))
			require.NoError(t, err)
		}, patience, time.Millisecond)
	}
	_, err = loud.Publish(t.Context(), fleet.AuditSubject("loud"), make([]byte, fleet.MaxLine+1), jetstream.WithMsgID("large"))
	require.Error(t, err)
	stream, err := gate.JS.Stream(t.Context(), fleet.AuditStream)
	require.NoError(t, err)
	last, err := stream.GetLastMsgForSubject(t.Context(), fleet.AuditSubject("quiet"))
	require.NoError(t, err, "its line has been pushed out")
	assert.Equal(t, "{}", string(last.Data))
	assert.Less(t, stream.CachedInfo().State.Msgs, uint64(lines))
}

// Gates' servers with the same keys are one bus: what one takes, the others have.
func TestGatesJoin(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	port := testenv.Ports(t, 3)
	var servers []*bus.Server
	for i := range 3 {
		name := fmt.Sprint("gate", i+1)
		s, err := bus.Start(bus.Options{
			Name: name, Keys: keys, Dir: filepath.Join(dir, name), Cluster: local(port + i),
			Routes: []string{local(port + (i+1)%3), local(port + (i+2)%3)},
		})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		servers = append(servers, s)
	}
	conn, err := keys.Connect(t.Context(), "gate1", bus.Target{Server: servers[0]})
	require.NoError(t, err)
	defer conn.Close()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		require.NoError(t, conn.Prepare(context.Background(), bus.Size{Replicas: 3}))
	}, patience, 200*time.Millisecond)
	var foul atomic.Int64
	_, err = conn.Relay(t.Context(), func(string, string) { foul.Add(1) })
	require.NoError(t, err)
	js, nc, _ := member(t, keys, servers[1].URL(), "vda1")
	tell(t, js, "vda1", "e1")
	for range 2 { // several servers answer what they have already even where they are told not to answer
		require.NoError(t, nc.PublishMsg(&nats.Msg{Subject: fleet.AuditSubject("vda1"), Reply: fleet.AuditSubject("vda2"), Header: nats.Header{jetstream.MsgIDHeader: {"e1"}}}))
	}
	assert.EqualValues(t, 2, tell(t, js, "vda1", "e2").Sequence)
	assert.EqualValues(t, 2, foul.Load())
	servers[1].Close() // the host goes to another
	other, err := keys.Connect(t.Context(), "gate3", bus.Target{Server: servers[2]})
	require.NoError(t, err)
	defer other.Close()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stream, err := other.JS.Stream(ctx, fleet.AuditStream)
		require.NoError(t, err)
		msg, err := stream.GetLastMsgForSubject(ctx, fleet.AuditSubject("vda1"))
		require.NoError(t, err)
		assert.Equal(t, "{}", string(msg.Data))
		_, err = stream.GetLastMsgForSubject(ctx, fleet.AuditSubject("vda2"))
		require.ErrorIs(t, err, jetstream.ErrMsgNotFound, "an answer came there")
	}, patience, 200*time.Millisecond)
}

// Keys are read only where nobody else can.
func TestKeysAreSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	_, err := bus.OpenKeys(dir, false)
	require.ErrorIs(t, err, os.ErrNotExist)
	keys, err := bus.OpenKeys(dir, true)
	require.NoError(t, err)
	again, err := bus.OpenKeys(dir, true)
	require.NoError(t, err)
	assert.Equal(t, keys.Fleet(), again.Fleet())
	require.NoError(t, os.Chmod(filepath.Join(dir, "fleet.nk"), 0o440))
	_, err = bus.OpenKeys(dir, false)
	if os.Geteuid() == 0 {
		require.NoError(t, err, "such are systemd's credentials for an account that isn't root")
	} else {
		require.ErrorContains(t, err, "chmod 600")
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, "fleet.nk"), 0o604))
	_, err = bus.OpenKeys(dir, true)
	require.ErrorContains(t, err, "chmod 600")
	elsewhere := filepath.Join(t.TempDir(), "state")
	require.NoError(t, keys.KeepRevoked(elsewhere, nil), "the keys needn't be where the server's state is")
	require.FileExists(t, filepath.Join(elsewhere, "account.jwt"))
	_, err = keys.Host("a.b", "x")
	require.Error(t, err)
	_, err = keys.Host("vda1", "x")
	require.ErrorContains(t, err, "public key of a user")
}
