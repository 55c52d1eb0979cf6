package fleethosts_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/registry"
	"vda.internal/shadow/internal/fleet/testfleet"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/hosts"
)

// lines has a token for each line of a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// next waits for one of a channel.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testfleet.Patience):
		require.FailNow(t, "nothing comes")
		panic("unreachable")
	}
}

// refusedBy reports whether the bus takes a host's key.
func refusedBy(t *testing.T, r *rig, c *enrol.Credentials) bool {
	t.Helper()
	nc, err := nats.Connect(r.Server.URL(), nats.UserJWTAndSeed(c.JWT, c.Seed), nats.MaxReconnects(0))
	if err == nil {
		nc.Close()
		return false
	}
	require.ErrorIs(t, err, nats.ErrAuthorization)
	return true
}

// What the fleet's key doesn't vouch for takes no host away, and gives no revoked key back; nothing is built on it.
func TestBrokenRecord(t *testing.T) {
	r := newRig(t)
	stolen := r.Enroll("vda1")
	r.Revoke("vda1")
	before := r.Enroll("vda1")
	log, came, went := make(lines, 64), make(chan hosts.Host, 8), make(chan hosts.Host, 8)
	gate := r.Conn("gate1")
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	// run runs a gate's directory until the other function is called.
	run := func() (end func()) {
		ctx, stop := context.WithCancel(ctx)
		d := fleethosts.New(gate, fleethosts.Options{Fleet: r.Keys.Fleet(), Revoked: r.Server.Revoke, Logger: zerolog.New(log)})
		ended := make(chan struct{})
		running.Go(func() {
			defer close(ended)
			_ = d.Run(ctx, func(h hosts.Host) { came <- h }, func(h hosts.Host) { went <- h })
		})
		return func() { stop(); <-ended }
	}
	end := run()
	next(t, came)
	require.Eventually(t, func() bool { return refusedBy(t, r, stolen) }, testfleet.Patience, 50*time.Millisecond)

	kv, err := gate.JS.KeyValue(t.Context(), fleet.FleetBucket)
	require.NoError(t, err)
	_, err = kv.Put(t.Context(), fleet.EnrolledKey("vda1"), []byte(`{"stream":"SHADOW_AUDIT","seq":7}`))
	require.NoError(t, err)
	assert.Contains(t, next(t, log), "invite --replace")
	r.Enroll("vda2")
	assert.Equal(t, "vda2", next(t, came).Name(), "what comes after it is there")
	assert.Empty(t, went)
	assert.True(t, refusedBy(t, r, stolen), "a revoked key is good again")

	_, err = r.Registry.Revoke(t.Context(), "vda1")
	require.ErrorContains(t, err, "isn't believed")
	code, err := r.Registry.Invite(t.Context(), registry.Invitation{Hosts: "vda1", For: time.Hour})
	require.NoError(t, err)
	_, err = enrol.Enroll(t.Context(), r.Gate.URL, code.String(), enrol.Host{ID: "vda1"})
	require.ErrorContains(t, err, "isn't believed")
	list, err := r.Registry.Hosts(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.True(t, list[0].Broken)
	assert.Equal(t, "vda1", list[0].ID)

	code, err = r.Registry.Invite(t.Context(), registry.Invitation{Hosts: "vda1", For: time.Hour, Replace: true})
	require.NoError(t, err)
	after, err := enrol.Enroll(t.Context(), r.Gate.URL, code.String(), enrol.Host{ID: "vda1"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return refusedBy(t, r, before) }, testfleet.Patience, 50*time.Millisecond, "the key of the broken record is good")
	end()
	defer run()()
	next(t, came)
	next(t, came)
	assert.False(t, refusedBy(t, r, after))
	assert.True(t, refusedBy(t, r, stolen))
	assert.True(t, refusedBy(t, r, before))
}
