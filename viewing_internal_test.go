package shadow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A viewer whose line is lost without a word is missed while its page tries to come back, with the default of
// viewer.reconnect. Where nobody returns there is no hurry.
func TestViewersThatMayReturnAreMissedSoon(t *testing.T) {
	const pong = 15 * time.Second // wsproxy's PongTimeout
	l := &life{m: &Manager{cfg: Config{Reconnect: 30 * time.Second}}}
	h := l.proxy()
	assert.Positive(t, h.PingInterval)
	assert.Zero(t, h.PongTimeout)
	assert.Less(t, h.PingInterval+pong, l.m.cfg.Reconnect)
	l.m.cfg.Reconnect = 0
	assert.Zero(t, l.proxy().PingInterval)
}
