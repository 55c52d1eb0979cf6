// Shadowctl is the administrator's command line for shadowd. See
// "shadowctl --help". Under the name ctxreg it is "shadowctl ctxreg".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"vda.internal/shadow/internal/host/xprobe"
	"vda.internal/shadow/source/capture"
)

func main() {
	// Doctor looks at sessions as their users, in children of this program.
	xprobe.Child()
	capture.Child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[0], os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
