package gate

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/hosts"
)

// A deafHost answers no stop.
type deafHost struct{ hosts.Host }

func (deafHost) Name() string { return "deaf" }

func (deafHost) Stop(ctx context.Context, _ string) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// A slowBus takes its time to have what gates are to know.
type slowBus struct {
	hosts.Directory
	takes time.Duration
	err   error
}

func (slowBus) OnStopped(func(host, id string)) {}

func (b slowBus) TellStopped(context.Context, string, string) error {
	time.Sleep(b.takes)
	return b.err
}

// Who stops a view that another gate carries is answered once gates are told, however long that took, and not only when the host gives
// up.
func TestStopIsAnsweredOnceGatesAreTold(t *testing.T) {
	for name, test := range map[string]struct {
		bus  slowBus
		want time.Duration
	}{
		"at once":  {slowBus{}, time.Second + graceTime},
		"too late": {slowBus{takes: graceTime + 1}, time.Second + graceTime + 1},
		"never":    {slowBus{err: context.DeadlineExceeded}, stopTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &Gate{Config: Config{CutAfter: time.Second, Directory: test.bus}}
				g.hub = newHub([]hosts.Host{deafHost{}}, func(Happening) {}, func(HostState) {})
				began := time.Now()
				p := g.stopOne(t.Context(), nil, Standing{Host: "deaf"})
				require.Equal(t, http.StatusBadGateway, p.Status)
				require.Equal(t, test.want, time.Since(began))
				time.Sleep(stopTime) // until what was left behind has ended
			})
		})
	}
}
