package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/fleet/spool"
	"vda.internal/shadow/internal/testenv"
)

// The audit of this host gets each event once, however often the spool refuses it. A full spool refuses
// requests where the fleet's audit is required, and nothing where it is optional.
func TestAuditGoesIntoTheSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := spool.Open(dir, spool.Options{MaxBytes: 16 << 10})
	if errors.Is(err, os.ErrPermission) {
		testenv.Lack(t, "the way to the test's folder isn't only ours: %v", err)
	}
	require.NoError(t, err)
	defer s.Close()
	var own []string
	failing := false
	m := &member{logger: zerolog.Nop(), own: func(e shadow.Event) error {
		if failing {
			return errors.New("the disk")
		}
		own = append(own, e.ID)
		return nil
	}}
	require.NoError(t, m.audit(shadow.Event{ID: "before"}), "in no fleet")
	m.spooled.Store(&spooling{Spool: s, id: "vda1", required: true})
	failing = true
	require.ErrorContains(t, m.audit(shadow.Event{ID: "a"}), "the disk")
	require.Zero(t, s.State().Events)
	failing = false
	require.NoError(t, m.audit(shadow.Event{ID: "a"}))
	require.Equal(t, 1, s.State().Events)

	long := strings.Repeat("x", 1000)
	request := func(n int) shadow.Event {
		return shadow.Event{Type: shadow.EventRequested, ID: fmt.Sprint(n), Detail: long}
	}
	n := 0
	for ; err == nil; n++ {
		require.Less(t, n, 100)
		err = m.audit(request(n))
	}
	require.ErrorIs(t, err, spool.ErrFull)
	require.NoError(t, m.audit(request(n-1)), "it is tried again, and would hold up what comes next")
	require.NoError(t, m.audit(shadow.Event{Type: shadow.EventEnded, ID: "end", Detail: long}), "of a view that goes on")
	require.ErrorIs(t, m.audit(request(n)), spool.ErrFull)
	require.NoError(t, m.audit(request(n)))
	m.spooled.Store(&spooling{Spool: s, id: "vda1"})
	require.NoError(t, m.audit(shadow.Event{Type: shadow.EventRequested, ID: "o", Detail: long}), "it is optional")
	want := []string{"before", "a"}
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	want = append(want, "end", fmt.Sprint(n), "o")
	assert.Equal(t, want, own, "each event once")

	var got []string
	take := func() {
		for s.State().Events > 0 {
			id, data, err := s.Peek(t.Context())
			require.NoError(t, err)
			var e shadow.Event
			require.NoError(t, json.Unmarshal(data, &e))
			got = append(got, e.ID)
			require.NoError(t, s.Ack(id))
		}
	}
	take()
	assert.Equal(t, want[1:1+len(got)], got, "the oldest are there")
	m.backlog.mu.Lock()
	require.NoError(t, m.flush())
	m.backlog.mu.Unlock()
	take()
	assert.Equal(t, want[1:], got)
}

// A stuck host is one that the bus holds until the test's end.
type stuck struct{ over <-chan struct{} }

func (stuck) ID() string { return "vda1" }

func (s stuck) Run(context.Context) error {
	<-s.over
	return nil
}

// A bus that is stuck holds neither SIGTERM nor SIGHUP: the fleet is left without it.
func TestLeavingAStuckBus(t *testing.T) {
	for name, leave := range map[string]func(*member){
		"the end":               func(m *member) { m.close() },
		"another configuration": func(m *member) { require.NoError(t, m.join(config.Fleet{}, nil, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := spool.Open(filepath.Join(t.TempDir(), "spool"), spool.Options{})
			if errors.Is(err, os.ErrPermission) {
				testenv.Lack(t, "the way to the test's folder isn't only ours: %v", err)
			}
			require.NoError(t, err)
			m := &member{logger: zerolog.Nop(), own: func(shadow.Event) error { return nil }}
			m.mu.Lock()
			m.begin(&part{spool: s}, stuck{t.Context().Done()})
			m.mu.Unlock()
			left := make(chan struct{})
			go func() {
				defer close(left)
				leave(m)
			}()
			select {
			case <-left:
			case <-time.After(time.Minute):
				require.Fail(t, "it is held")
			}
			require.ErrorIs(t, s.Append("a", []byte("{}")), spool.ErrClosed)
			require.NoError(t, m.audit(shadow.Event{ID: "after"}))
		})
	}
}
