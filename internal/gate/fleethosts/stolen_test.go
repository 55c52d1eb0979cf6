package fleethosts_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/testfleet"
)

// Who has a host's key can't touch another host, a gate, or what is kept: the server refuses it.
func TestStolenHostKey(t *testing.T) {
	f := testfleet.New(t)
	f.Enroll("vda1")
	nc, refused := f.As(f.Enroll("vda2"))
	permitted := func() {
		t.Helper()
		require.NoError(t, nc.FlushTimeout(testfleet.Patience))
		select {
		case err := <-refused:
			require.NoError(t, err)
		default:
		}
	}
	forbidden := func(what string) {
		t.Helper()
		require.NoError(t, nc.FlushTimeout(testfleet.Patience))
		select {
		case err := <-refused:
			require.ErrorIs(t, err, nats.ErrPermissionViolation, what)
		case <-time.After(testfleet.Patience):
			require.Fail(t, "nobody refuses it", what)
		}
	}
	for _, own := range []string{fleet.AuditSubject("vda2"), fleet.PresenceSubject("vda2")} {
		require.NoError(t, nc.Publish(own, []byte("x")))
		permitted()
	}
	for _, subject := range []string{
		fleet.AuditSubject("vda1"), fleet.PresenceSubject("vda1"), fleet.Subject("vda1", fleet.Shadow), fleet.Subject("vda1", fleet.Stop),
		fleet.KeptAudit("vda1"), fleet.KeptAudit("vda2"), fleet.KeptPresence("vda1"), fleet.KeptPresence("vda2"),
		fleet.Subject("vda2", fleet.Shadow), "$KV." + fleet.FleetBucket + "." + fleet.EnrolledKey("vda2"), "$KV." + fleet.FleetBucket + "." + fleet.StoppedKey("vda2", "a"),
		"$JS.API.STREAM.PURGE." + fleet.AuditStream, "$JS.API.STREAM.DELETE.KV_" + fleet.HostBucket, "$JS.API.CONSUMER.CREATE." + fleet.AuditStream,
		"$JS.API.DIRECT.GET." + fleet.AuditStream, "_INBOX.host.vda1.x", "_INBOX.gate.x", "$SYS.REQ.SERVER.PING",
	} {
		require.NoError(t, nc.Publish(subject, []byte("x")))
		forbidden("publish " + subject)
	}
	for _, subject := range []string{
		">", "shadow.>", fleet.HostFilter("vda1"), fleet.HostFilter("*"), fleet.AuditFilter, fleet.AuditSubject("vda2"), fleet.PresenceSubject("vda1"),
		"$KV.>", "_INBOX.>", "_INBOX.host.*.>", "_INBOX.gate.>", "$SYS.>",
	} {
		_, err := nc.Subscribe(subject, func(*nats.Msg) {})
		require.NoError(t, err)
		forbidden("subscribe " + subject)
	}
}

// Who has a host's key can't have the server or a gate publish for him, where he may not: whatever he names as the
// reply of what he says, whichever answer it would have.
func TestStolenHostKeyNamesAReply(t *testing.T) {
	f := testfleet.New(t)
	conn := f.Conn("gate1")
	f.Enroll("vda1")
	nc, _ := f.As(f.Enroll("vda2"))
	var foreign []string
	for _, id := range []string{"vda1", "vda3"} { // one that is in the fleet, and one that isn't
		foreign = append(foreign, fleet.AuditSubject(id), fleet.PresenceSubject(id), "$KV."+fleet.FleetBucket+"."+fleet.EnrolledKey(id),
			fleet.Subject(id, fleet.Stop), fleet.HostInbox(id)+".x", fleet.KeptAudit(id), fleet.KeptPresence(id))
	}
	foreign = append(foreign, "$KV."+fleet.FleetBucket+"."+fleet.EnrolledKey("vda2"), "$KV."+fleet.FleetBucket+"."+fleet.StoppedKey("vda2", "a"), fleet.Subject("vda2", fleet.Stop), fleet.KeptAudit("vda2"), fleet.KeptPresence("vda2"),
		fleet.GateInbox(f.Keys.Fleet())+".x", "_INBOX.x", "$SRV.PING", "$JS.API.STREAM.PURGE."+fleet.AuditStream, "$JS.API.STREAM.PURGE.KV_"+fleet.FleetBucket,
		"$JS.API.STREAM.DELETE.KV_"+fleet.HostBucket, "$JS.ACK."+fleet.AuditStream+".x.1.1.1.1.1", fleet.HostInbox("vda2")+"x.y", fleet.HostInbox("vda2"),
		fleet.HostInbox("vda2")+".*", fleet.HostInbox("vda2")+".>")
	spy := f.Hostile()
	var mu sync.Mutex
	heard := map[string]int{}
	_, err := spy.Subscribe(">", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		heard[m.Subject]++
	})
	require.NoError(t, err)
	require.NoError(t, spy.FlushTimeout(testfleet.Patience))
	enrolled := func() uint64 {
		t.Helper()
		kv, err := conn.JS.KeyValue(t.Context(), fleet.FleetBucket)
		require.NoError(t, err)
		e, err := kv.Get(t.Context(), fleet.EnrolledKey("vda1"))
		require.NoError(t, err)
		return e.Revision()
	}
	before := enrolled()

	large := make([]byte, fleet.MaxLine+1)
	var sent int
	for i, reply := range foreign {
		for _, own := range []string{fleet.AuditSubject("vda2"), fleet.PresenceSubject("vda2")} {
			for _, m := range []*nats.Msg{
				{Data: []byte("kept")},
				{Data: []byte("once"), Header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprint("twice", i)}}},
				{Data: []byte("twice"), Header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprint("twice", i)}}},
				{Data: large},
				{Header: nats.Header{jetstream.ExpectedStreamHeader: {"ANOTHER"}}},
				{Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {"999999"}}},
				{Header: nats.Header{"Nats-Rollup": {"all"}}},
				{Header: nats.Header{"Nats-TTL": {"never so"}}},
				{Header: nats.Header{"Nats-Batch-Id": {"b"}, "Nats-Batch-Sequence": {"1"}, "Nats-Batch-Commit": {"1"}}},
				{Header: nats.Header{"Nats-Required-Api-Level": {"9999"}}},
				{Header: nats.Header{"Nats-Trace-Dest": {reply}}},
				{Header: nats.Header{"Nats-Schedule": {"@at 2000-01-01T00:00:00Z"}, "Nats-Schedule-Target": {reply}}},
			} {
				m.Subject, m.Reply = own, reply
				require.NoError(t, nc.PublishMsg(m))
				sent++
			}
		}
	}
	for _, own := range []string{fleet.AuditSubject("vda2"), fleet.PresenceSubject("vda2")} { // behind all of these
		_, err := nc.RequestMsg(&nats.Msg{Subject: own, Data: []byte("last"), Header: nats.Header{jetstream.MsgIDHeader: {"last"}}}, testfleet.Patience)
		require.NoError(t, err)
	}
	require.NoError(t, spy.FlushTimeout(testfleet.Patience))
	mu.Lock()
	defer mu.Unlock()
	require.Positive(t, heard[fleet.AuditSubject("vda2")])
	kept := map[string]bool{fleet.KeptAudit("vda2"): true, fleet.KeptPresence("vda2"): true} // where gates publish what it says
	for _, reply := range foreign {
		if !kept[reply] {
			assert.Zero(t, heard[reply], reply)
		}
	}
	assert.LessOrEqual(t, heard[fleet.KeptAudit("vda2")]+heard[fleet.KeptPresence("vda2")], sent+2, "an answer came there")
	assert.Equal(t, before, enrolled())
	stream, err := conn.JS.Stream(t.Context(), fleet.AuditStream)
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	assert.NotContains(t, info.State.Subjects, fleet.AuditSubject("vda1"))
	assert.NotContains(t, info.State.Subjects, fleet.AuditSubject("vda3"))
	for subject := range info.State.Subjects {
		assert.Equal(t, fleet.AuditSubject("vda2"), subject)
	}
}
