package fleethosts

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
)

// A host whose clock is off takes orders all the same: the gate dates them by that clock, and says in the log that it differs.
func TestClockOfAHost(t *testing.T) {
	keys, err := bus.OpenKeys(filepath.Join(t.TempDir(), "keys"), true)
	require.NoError(t, err)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	token, err := keys.Gate("gate1", public)
	require.NoError(t, err)
	log := new(bytes.Buffer)
	d := New(&bus.Conn{Signer: &fleet.Signer{Name: "gate1", Key: key, JWT: token}}, Options{Logger: zerolog.New(log)})
	lines := 0
	for _, off := range []time.Duration{0, 3 * time.Minute, -3 * time.Minute, time.Hour, -time.Hour, 0} {
		h := newHost(d, fleet.Enrolled{ID: "vda1"})
		clock := func() time.Time { return time.Now().Add(off) }
		guard := &fleet.Guard{ID: "vda1", Boot: "b", Fleet: []string{keys.Fleet()}, Now: clock}
		for range 3 {
			h.present(&fleet.Presence{ID: "vda1", Boot: "b", Time: clock()}, 0)
			order, err := h.order(fleet.Stop, struct{}{})
			require.NoError(t, err)
			_, gate, err := guard.Admit(order.Subject, func(name string) string { return strings.Join(order.Header[name], "") }, order.Data)
			require.NoError(t, err, "%v", off)
			require.Equal(t, "gate1", gate)
		}
		if off != 0 {
			lines++
		}
		require.Equal(t, lines, strings.Count(log.String(), "the clocks of a host and of this gate"), "once each, %v", off)
	}
}

// A clock that is set back isn't an older presence for longer than a host may be silent, and what it says then counts.
func TestClockOfAHostIsSetBack(t *testing.T) {
	d := New(nil, Options{Logger: zerolog.Nop()})
	h := newHost(d, fleet.Enrolled{ID: "vda1"})
	h.present(&fleet.Presence{ID: "vda1", Boot: "b", Time: time.Now().Add(time.Hour)}, 0)
	h.present(&fleet.Presence{ID: "vda1", Boot: "b", Time: time.Now()}, 0)
	_, ahead, err := h.now()
	require.NoError(t, err)
	require.InDelta(t, time.Hour, ahead, float64(time.Minute), "it may be an old one, sent again")
	h.heard = time.Now().Add(-silentTime - time.Second)
	h.expire()
	h.present(&fleet.Presence{ID: "vda1", Boot: "b", Time: time.Now()}, 0)
	_, ahead, err = h.now()
	require.NoError(t, err)
	require.InDelta(t, 0, ahead, float64(time.Minute))
}
