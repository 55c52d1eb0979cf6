package shadow

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The end of a viewer's connection and that of its life may tell a banner of it at once.
func TestEndBannerAtOnce(t *testing.T) {
	for range 200 {
		l := &life{banner: newBanner()}
		l.ctx, l.end = context.WithCancelCause(t.Context())
		l.end(&End{Reason: ViewerLeft})
		var all sync.WaitGroup
		start := make(chan struct{})
		for range 4 {
			all.Go(func() { <-start; l.endBanner() })
		}
		close(start)
		require.True(t, within(done(all.Wait), time.Minute), "one waits for ever")
		require.True(t, within(l.banner.over, 0), "it isn't told")
	}
}
