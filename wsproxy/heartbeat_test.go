package wsproxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An unfinished looks exactly as long as frames are under way: it neither stops
// when one has begun since it looked last, nor is it asked twice.
func TestUnfinishedLooksWhileItIsNeeded(t *testing.T) {
	c, _ := countedConn(t)
	c.tasks.Store(controlling) // nobody comes for them
	f := c.wire.intake
	u := &unfinished{c: c, timer: time.NewTimer(time.Hour)}
	c.pongTimeout = 4 * time.Hour
	fill := func(left int64) (asked bool) {
		f.early, f.left, f.w = []byte{0}, left, 0
		require.NoError(t, f.fill())
		return c.tasks.Swap(controlling)&taskBegun != 0
	}
	defer f.release()

	assert.False(t, fill(0), "no frame is under way")
	assert.True(t, fill(1))
	u.begin()
	assert.False(t, fill(1), "somebody looks already")
	assert.False(t, fill(0))
	assert.False(t, fill(1), "somebody still looks, and finds the next frame")
	require.NoError(t, u.check())
	assert.True(t, u.timer.Stop(), "it goes on looking")
	assert.False(t, fill(1), "and isn't asked again")
	assert.False(t, fill(0))
	require.NoError(t, u.check())
	assert.False(t, u.timer.Stop(), "there is nothing to look after")
	assert.True(t, fill(1), "it has to be asked again")

	u.begin()
	for range 3 {
		require.NoError(t, u.check())
	}
	assert.Equal(t, errUnfinished, u.check())
	u.timer.Stop()
}
