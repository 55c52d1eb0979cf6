package bus_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
)

// Streams into which hosts published themselves are brought up to date at a gate's start: what they have stays, and the
// server answers no host any more at others' subjects.
func TestStreamsOfBefore(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir})
	require.NoError(t, err)
	defer s.Close()
	gate, err := keys.Connect(t.Context(), "gate1", bus.Target{Server: s})
	require.NoError(t, err)
	defer gate.Close()
	_, err = gate.JS.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: fleet.AuditStream, Description: "what happened on the hosts", Subjects: []string{fleet.AuditFilter},
		Storage: jetstream.FileStorage, Replicas: 1, Duplicates: 2 * time.Minute, MaxAge: 400 * 24 * time.Hour, MaxBytes: -1, MaxMsgsPerSubject: -1,
		Discard: jetstream.DiscardOld, AllowDirect: true, DenyDelete: true, MaxMsgSize: fleet.MaxLine,
	})
	require.NoError(t, err)
	_, err = gate.JS.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KV_" + fleet.HostBucket, Description: "hosts that are there", Subjects: []string{fleet.PresenceSubject(">")},
		Storage: jetstream.MemoryStorage, Replicas: 1, MaxAge: fleet.PresenceTTL, MaxMsgsPerSubject: 1, MaxMsgSize: fleet.MaxMessage,
		Discard: jetstream.DiscardNew, AllowDirect: true, DenyDelete: true, Duplicates: fleet.PresenceTTL, AllowMsgTTL: true,
	})
	require.NoError(t, err)
	js, nc, _ := member(t, keys, s.URL(), "vda1")
	first := tell(t, js, "vda1", "e1")
	_, err = js.Publish(t.Context(), fleet.PresenceSubject("vda1"), []byte("before"))
	require.NoError(t, err)

	require.NoError(t, gate.Prepare(t.Context(), bus.Size{}))
	_, err = nc.Request(fleet.AuditSubject("vda1"), []byte("{}"), patience)
	require.ErrorIs(t, err, nats.ErrNoResponders, "it is kept, and answered, without a gate")
	named := make(chan string, 16)
	stop, err := gate.Relay(t.Context(), func(host, reply string) { named <- host + " " + reply })
	require.NoError(t, err)
	defer stop()
	kv, err := gate.JS.KeyValue(t.Context(), fleet.HostBucket)
	require.NoError(t, err)
	w, err := kv.Watch(t.Context(), ">")
	require.NoError(t, err)
	defer w.Stop()
	read := func() string {
		t.Helper()
		for {
			select {
			case e := <-w.Updates():
				if e != nil {
					return e.Key() + " " + string(e.Value())
				}
			case <-time.After(patience):
				require.FailNow(t, "the bucket says nothing")
			}
		}
	}
	assert.Equal(t, "vda1 before", read())
	_, err = js.Publish(t.Context(), fleet.PresenceSubject("vda1"), []byte("after"))
	require.NoError(t, err)
	assert.Equal(t, "vda1 after", read())
	assert.True(t, tell(t, js, "vda1", "e1").Duplicate, "it has forgotten what it has")
	require.NoError(t, nc.PublishMsg(&nats.Msg{Subject: fleet.AuditSubject("vda1"), Reply: fleet.AuditSubject("vda2"), Data: []byte("{}"), Header: nats.Header{jetstream.MsgIDHeader: {"e1b"}}}))
	for _, id := range []string{"", strings.Repeat("x", 256)} { // no host's: the stream would have it once for each gate
		require.NoError(t, nc.PublishMsg(&nats.Msg{Subject: fleet.AuditSubject("vda1"), Data: []byte("{}"), Header: nats.Header{jetstream.MsgIDHeader: {id}}}))
	}
	assert.Equal(t, first.Sequence+2, tell(t, js, "vda1", "e2").Sequence)
	assert.Equal(t, "vda1 "+fleet.AuditSubject("vda2"), <-named)
	stream, err := gate.JS.Stream(t.Context(), fleet.AuditStream)
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	assert.Equal(t, map[string]uint64{fleet.AuditSubject("vda1"): 3}, info.State.Subjects)
}

// Each gate passes on everything, so that one which is stuck keeps nothing back; what a host says is there once.
func TestRelaysOfManyGates(t *testing.T) {
	dir := t.TempDir()
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	require.NoError(t, err)
	s, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: dir})
	require.NoError(t, err)
	defer s.Close()
	stuck, free := make(chan struct{}), make(chan struct{})
	defer close(free)
	var gate *bus.Conn
	for i := range 3 {
		gate, err = keys.Connect(t.Context(), fmt.Sprint("gate", i+1), bus.Target{Server: s})
		require.NoError(t, err)
		defer gate.Close()
		require.NoError(t, gate.Prepare(t.Context(), bus.Size{}))
		_, err = gate.Relay(t.Context(), func(string, string) {
			if i == 0 {
				close(stuck)
				<-free
			}
		})
		require.NoError(t, err)
	}
	js, nc, _ := member(t, keys, s.URL(), "vda1")
	tell := func(i int) {
		t.Helper()
		tell(t, js, "vda1", fmt.Sprint("e", i))
		_, err := js.Publish(t.Context(), fleet.PresenceSubject("vda1"), fmt.Append(nil, i))
		require.NoError(t, err)
	}
	const lines = 50
	for i := range lines {
		tell(i)
	}
	require.NoError(t, nc.PublishMsg(&nats.Msg{Subject: fleet.AuditSubject("vda1"), Reply: "elsewhere", Header: nats.Header{jetstream.MsgIDHeader: {"foul"}}}))
	select {
	case <-stuck:
	case <-time.After(patience):
		require.FailNow(t, "nobody is told")
	}
	for i := range lines {
		tell(lines + i)
	}
	stream, err := gate.JS.Stream(t.Context(), fleet.AuditStream)
	require.NoError(t, err)
	assert.EqualValues(t, 2*lines+1, stream.CachedInfo().State.Msgs)
}
