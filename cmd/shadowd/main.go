// Shadowd lets administrators watch users' desktop sessions on this host, with
// the user's consent and view-only. See docs/DESIGN.md and shadowctl.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"vda.internal/shadow/consent/desktop"
	"vda.internal/shadow/source/capture"
)

func main() {
	// This program shows the question and reads the picture too, as a child of itself.
	desktop.Child()
	capture.Child()
	// From the beginning on: whoever rotates logs must not end a daemon that has just been started.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	// Whoever reads the log may go away: a write fails then, and no more.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	// Not undone before the end: a second signal must not cut the tidying up short.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	os.Exit(run(ctx, hangups, os.Args[1:], os.Stdout, os.Stderr))
}
