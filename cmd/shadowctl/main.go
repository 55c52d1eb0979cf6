// Shadowctl is the administrator's command line for shadowd. See
// "shadowctl --help". Under the name ctxreg it is "shadowctl ctxreg".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"vda.internal/shadow/internal/host/xprobe"
)

func main() {
	xprobe.Child() // doctor looks at sessions as their users, in children of this program
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[0], os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
