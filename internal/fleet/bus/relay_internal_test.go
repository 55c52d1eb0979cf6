package bus

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A host that says more than any host has to say doesn't fill a gate's connection; others have their own share.
func TestRelayHasARateForEachHost(t *testing.T) {
	now := time.Now()
	r := &relay{rates: map[string]*allowance{}, now: func() time.Time { return now }}
	const large = 1 << 20
	passed := 0
	for range 1000 {
		if r.may("loud", large) {
			passed++
		}
	}
	assert.InDelta(t, hostBurst/large, passed, 1)
	assert.True(t, r.may("quiet", large))
	assert.False(t, r.may("loud", large))
	now = now.Add(time.Second)
	assert.True(t, r.may("loud", large))
	for i := range maxRates + 10 {
		r.may(string(rune(i)), 1)
	}
	assert.LessOrEqual(t, len(r.rates), maxRates)
}

// An answer goes to the inbox of the host that asks, and nowhere else.
func TestRepliesOfHosts(t *testing.T) {
	for _, good := range []string{"_INBOX.host.vda1.x", "_INBOX.host.vda1.x.y"} {
		assert.True(t, own("vda1", good), good)
	}
	for _, bad := range []string{
		"", "_INBOX.host.vda1", "_INBOX.host.vda1.", "_INBOX.host.vda10.x", "_INBOX.host.vda1x.y", "_INBOX.host.vda1.*", "_INBOX.host.vda1.>",
		"_INBOX.host.vda1.x y", "_INBOX.host.vda2.x", "_INBOX.gate.x", "x._INBOX.host.vda1.x", "$KV.SHADOW_FLEET.host.vda1",
	} {
		assert.False(t, own("vda1", bad), bad)
	}
}
