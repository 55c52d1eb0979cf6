package strangers

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// However many sources there are, what is remembered of them is bounded, and so are their lines.
func TestNoiseOfManySources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Noise
		passed, told := 0, 0
		line := func(address string) {
			left, ok := n.Pass(Network(netip.MustParseAddr(address)))
			if ok {
				passed++
			}
			told += left
		}
		const sources = 5000
		for i := range sources {
			line(fmt.Sprintf("10.0.%d.%d", i/256, i%256))
		}
		assert.Equal(t, maxSources+noisyLines, passed)
		assert.Len(t, n.sources, maxSources)
		assert.Equal(t, sources, passed+n.LeftOut())

		time.Sleep(noisyLines * quietTime)
		passed = 0
		for range 2 * noisyLines {
			line("10.99.0.1")
		}
		assert.Equal(t, noisyLines, passed, "it has room of its own, for the others have been quiet")
		assert.Len(t, n.sources, 1)
		line("2001:db8::1")
		line("2001:db8::2")
		assert.Len(t, n.sources, 2, "one network")
		time.Sleep(quietTime)
		line("10.99.0.1")
		assert.Equal(t, noisyLines, told)
	})
}
