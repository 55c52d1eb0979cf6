package gate

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
)

// A host that says much leaves the others their share of what a slow reader is told, and ends nobody's feed.
func TestLoudHost(t *testing.T) {
	h := newHub(nil, func(Happening) {}, func(HostState) {})
	f := h.subscribe(t.Context())
	say := func(host string, n int) {
		for i := range n {
			h.publish(Happening{Event: shadow.Event{ID: fmt.Sprint(i)}, Host: host})
		}
	}
	say("loud", 10*maxFeed)
	say("calm", 3)
	events, left, over := h.drain(f)
	require.False(t, over)
	require.Len(t, events, maxFeed)
	require.Equal(t, map[string]int{"loud": 9*maxFeed + 3}, left)
	for i, e := range events[maxFeed-3:] {
		require.Equal(t, "calm", e.Host)
		require.Equal(t, fmt.Sprint(i), e.ID)
	}
	require.Equal(t, "0", events[0].ID)
	<-f.wake
	say("loud", 1)
	<-f.wake
	events, left, _ = h.drain(f)
	require.Len(t, events, 1)
	require.Empty(t, left)
}

// A host that says of many views that they have ended has the gate forget its own.
func TestEndsOfALoudHost(t *testing.T) {
	h := newHub(nil, func(Happening) {}, func(HostState) {})
	end := func(host string, i int) {
		h.publish(Happening{Event: shadow.Event{Type: shadow.EventEnded, ID: fmt.Sprint(i), Reason: shadow.StoppedByUser}, Host: host})
	}
	end("calm", 0)
	for i := range 3 * maxEnds {
		end("loud", i)
		end("loud", i) // again
	}
	end("calm", 1)
	for _, known := range []struct {
		host string
		id   int
		is   bool
	}{{"calm", 0, true}, {"calm", 1, true}, {"loud", 0, false}, {"loud", 3*maxEnds - 1, true}} {
		_, is := h.endOf(known.host, fmt.Sprint(known.id))
		require.Equal(t, known.is, is, "%+v", known)
	}
	require.Len(t, h.ends, maxEnds)
	n := 0
	for _, keys := range h.endsOf {
		n += len(keys)
	}
	require.Equal(t, maxEnds, n)
}

// A restless host says all the time that something has changed, and each time why it can't list its sessions.
type restless struct {
	hosts.Host
	changed chan struct{}
	looks   *int
}

func (restless) Name() string               { return "restless" }
func (r restless) Changed() <-chan struct{} { return r.changed }
func (restless) AsOf() time.Time            { return time.Now() }

func (r restless) Sessions(ctx context.Context) ([]api.Session, error) {
	if *r.looks++; *r.looks > 10000 {
		<-ctx.Done()
	}
	return nil, fmt.Errorf("reason %d", *r.looks)
}

// A host that changes its state all the time has a few looks a second, and a few lines in the log, and others' are there.
func TestRestlessHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed, looks := make(chan struct{}), 0
		close(changed)
		host := restless{nil, changed, &looks}
		var log bytes.Buffer
		g, err := New(Config{Desk: new(signin.Desk), Hosts: []hosts.Host{host}, Logger: zerolog.New(&log)})
		require.NoError(t, err)
		w, leave := g.hub.join()
		defer leave()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		told := make(chan int)
		go func() {
			n := 0
			for ctx.Err() == nil {
				select {
				case <-w.wake:
					n++
				case <-ctx.Done():
				}
			}
			told <- n
		}()
		g.hub.watch(ctx, host, nil)
		require.LessOrEqual(t, looks, int(time.Minute/freshTime)+1)
		require.LessOrEqual(t, <-told, int(time.Minute/freshTime)+1)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		require.LessOrEqual(t, len(lines), 10+6)
		require.Contains(t, lines[len(lines)-1], "left_out")
		g.hub.mu.Lock()
		g.hostChanged(HostState{Name: "calm", State: "down", Detail: "gone"})
		g.hub.mu.Unlock()
		require.Contains(t, log.String(), `"host":"calm"`)
	})
}
