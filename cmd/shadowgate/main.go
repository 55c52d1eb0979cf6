// Shadowgate is the console for shadowd: people sign in to it with a browser, ask users for views of their
// sessions, and view them. See docs/shadowgate.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
)

func main() {
	// From the beginning on: whoever rotates logs must not end a daemon that has just been started.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	// Whoever reads the log may go away: a write fails then, and no more.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	// Not undone before the end: a second signal must not cut the tidying up short.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	os.Exit(run(ctx, hangups, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
