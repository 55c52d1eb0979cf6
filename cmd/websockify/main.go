// Websockify joins browsers' WebSockets to TCP and unix socket servers. See
// "websockify --help" and docs/websockify.md.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"vda.internal/shadow/cmd/websockify/internal/websockify"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// Whoever reads the log may go away: a write fails then, and no more. What
	// is wrapped gets SIGPIPE as ever.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(websockify.Run(os.Args, signals, os.Stdout, os.Stderr))
}
