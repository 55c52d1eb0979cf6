package gate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
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
