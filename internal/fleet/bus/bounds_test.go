package bus_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
)

// bounded is a bus whose log is text, and a gate's connection.
func bounded(t *testing.T) (*bus.Keys, *bus.Server, *bus.Conn, *text) {
	t.Helper()
	dir, log := t.TempDir(), &text{}
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir, Logger: zerolog.New(log)})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	gate, err := keys.Connect(t.Context(), "gate1", bus.Target{Server: s})
	require.NoError(t, err)
	t.Cleanup(gate.Close)
	prepared(t, gate, bus.Size{})
	return keys, s, gate, log
}

// Who has one host's key can't take others' presences away, whatever headers he sends.
func TestPresencesOfOthers(t *testing.T) {
	keys, s, gate, _ := bounded(t)
	quiet, _, _ := member(t, keys, s.URL(), "quiet")
	_, err := quiet.Publish(t.Context(), fleet.PresenceSubject("quiet"), []byte("there"))
	require.NoError(t, err)
	loud, _, _ := member(t, keys, s.URL(), "loud")
	for i, header := range []nats.Header{
		{"Nats-Rollup": {"all"}}, {"Nats-Rollup": {"sub"}}, {"KV-Operation": {"PURGE"}, "Nats-Rollup": {"all"}},
		{"Nats-Schedule": {"@at 2000-01-01T00:00:00Z"}, "Nats-Schedule-Target": {fleet.PresenceSubject("quiet")}},
	} {
		_, err := loud.PublishMsg(t.Context(), &nats.Msg{Subject: fleet.PresenceSubject("loud"), Header: header, Data: []byte{byte(i)}})
		assert.NoError(t, err, header) // without the headers
	}
	kv, err := gate.JS.KeyValue(t.Context(), fleet.HostBucket)
	require.NoError(t, err)
	e, err := kv.Get(t.Context(), "quiet")
	require.NoError(t, err)
	assert.Equal(t, "there", string(e.Value()))
}

// One host's key holds little of a server.
func TestBoundsOfOneHost(t *testing.T) {
	keys, s, _, _ := bounded(t)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := keys.Host("vda1", public)
	require.NoError(t, err)
	claims, err := jwt.DecodeUserClaims(token)
	require.NoError(t, err)
	assert.Positive(t, claims.Limits.Payload)
	_, nc, _ := member(t, keys, s.URL(), "vda2")
	for i := range 100 {
		_, err := nc.SubscribeSync(fmt.Sprint(fleet.HostInbox("vda2"), ".", i))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		err := nc.LastError()
		return err != nil && strings.Contains(err.Error(), "maximum subscriptions")
	}, patience, 50*time.Millisecond)
}

// Who has a host's key doesn't fill the log with what the server refuses him.
func TestLinesOfOneHost(t *testing.T) {
	keys, s, _, log := bounded(t)
	_, nc, _ := member(t, keys, s.URL(), "vda1")
	const tries = 500
	for range tries {
		require.NoError(t, nc.Publish(fleet.PresenceSubject("vda2"), []byte("x")))
	}
	require.NoError(t, nc.FlushTimeout(patience))
	log.wait(t, "Violation")
	assert.Less(t, strings.Count(log.String(), "Violation"), tries/2)
}
