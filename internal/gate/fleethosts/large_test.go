package fleethosts

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate/activity"
)

// Who has a host's key can make the lines of its audit long. A search reads no more of them at once than fits, wanted or not,
// and tells them all; one that has worked for long enough says where to go on.
func TestActivityOfLongLines(t *testing.T) {
	f := testfleet.New(t)
	c := f.Enroll("vda1")
	key, err := nkeys.FromSeed([]byte(c.Seed))
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	conn := f.Conn("gate1")
	long := strings.Repeat("x", fleet.MaxLine-2<<10)
	const lines = 4 * pieceRoom / fleet.MaxLine / 3
	for i := range lines {
		id := strconv.Itoa(i)
		data, err := json.Marshal(shadow.Event{Type: shadow.EventEnded, ID: id, Purpose: long})
		require.NoError(t, err)
		signature, err := fleet.SignEvent(key, "vda1", id, data)
		require.NoError(t, err)
		_, err = conn.JS.PublishMsg(t.Context(), &nats.Msg{Subject: fleet.KeptAudit("vda1"), Data: data,
			Header: nats.Header{fleet.SignatureHeader: {signature}, jetstream.MsgIDHeader: {id}}})
		require.NoError(t, err)
	}
	d := New(conn, Options{})
	d.revoked = map[string][]fleet.Revocation{"vda1": {{Key: public}}}
	a := d.Activity(nil)
	stream, err := conn.JS.Stream(t.Context(), fleet.AuditStream)
	require.NoError(t, err)
	_, err = a.piece(t.Context(), stream, fleet.AuditFilter, activity.Query{}, 1, lines+1)
	require.ErrorIs(t, err, errLarge)
	_, err = a.piece(t.Context(), stream, fleet.AuditFilter, activity.Query{Admin: "alice"}, 1, lines+1)
	require.ErrorIs(t, err, errLarge, "what nobody wants is read, too")
	p, err := a.piece(t.Context(), stream, fleet.AuditFilter, activity.Query{Admin: "alice"}, lines-10, lines+1)
	require.NoError(t, err)
	assert.Empty(t, p.lines)

	next := lines
	require.NoError(t, a.Each(t.Context(), activity.Query{}, func(r activity.Record) bool {
		next--
		return assert.Equal(t, strconv.Itoa(next), r.ID)
	}))
	assert.Zero(t, next)

	var found []string
	pages, before := 0, ""
	for more := true; more; pages++ {
		require.Less(t, pages, lines)
		more = false
		q := activity.Query{Shadow: "0", Before: before} // the oldest
		q.Progress = func(cursor string) bool {
			before, more = cursor, true
			return false
		}
		require.NoError(t, a.Each(t.Context(), q, func(r activity.Record) bool {
			found = append(found, r.ID)
			return true
		}))
	}
	assert.Equal(t, []string{"0"}, found)
	assert.Greater(t, pages, 1)
}

// What was too much at once is tried in a smaller piece, and so is what took too long; nothing else is.
func TestTooMuch(t *testing.T) {
	assert.True(t, isTooMuch(fmt.Errorf("the bus: %w", errLarge)))
	assert.True(t, isTooMuch(fmt.Errorf("the bus: %w", context.DeadlineExceeded)))
	assert.False(t, isTooMuch(fmt.Errorf("the bus: %w", context.Canceled)))
	assert.False(t, isTooMuch(activity.ErrCursor))
}
