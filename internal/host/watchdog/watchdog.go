// Package watchdog tells systemd's watchdog (WatchdogSec= of a unit) that a program isn't stuck.
package watchdog

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Run tells systemd until ctx ends that alive has returned, three times in the unit's WatchdogSec. While alive doesn't
// return, nothing is told, and systemd ends the program. Where nobody watches Run returns at once. It is not to be
// waited for: an alive that hangs is what it is there for.
func Run(ctx context.Context, alive func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return
	}
	every(ctx, interval/3, alive, func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog) })
}

// every tells in every interval that alive has returned.
func every(ctx context.Context, interval time.Duration, alive, tell func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		alive()
		tell()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
