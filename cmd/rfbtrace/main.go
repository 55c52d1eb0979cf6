// Command rfbtrace captures what a viewer and an RFB server say to each other,
// prints it message by message, and plays it to another viewer.
//
//	rfbtrace capture -listen 127.0.0.1:5901 -server 127.0.0.1:5900 session.trace.gz
//	rfbtrace print session.trace.gz
//	rfbtrace replay -listen 127.0.0.1:5901 session.trace.gz
//
// It is a tool for developers who inspect the wire, not part of the product: a
// capture forwards everything in both directions, keys and passwords included,
// and records it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/internal/version"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// help is what the command help prints.
const help = `rfbtrace looks into RFB (VNC) sessions.

  rfbtrace capture -listen ADDR -server ADDR [-note TEXT] FILE
        forward one session between a viewer that connects and a server, and
        record both directions until one of them or an interrupt ends it;
        -server-name and -viewer-name set their names. A session that can't be
        parsed to its end is recorded nevertheless: the status is 1, and an error
        says where parsing failed. FILE gets mode 0600, because it contains keys
        and passwords. A capture that is killed lacks only its last second
  rfbtrace print FILE...         print every message and rectangle
  rfbtrace summary FILE...       count them
  rfbtrace handshake FILE...     print what was agreed
  rfbtrace verify FILE...        parse to the last byte, however it is split
  rfbtrace replay -listen ADDR [-speed N] FILE
        serve the trace to one viewer; with speed 0, as fast as possible
  rfbtrace fbs TRACE RECORDING   write a recording for FBS players
  rfbtrace --version             print the version

ADDR is HOST:PORT or unix:PATH. FILE is a trace or an FBS recording, packed
with gzip or not; a new FILE is packed if its name ends in .gz. A truncated one
is shown as far as it goes, and the status is 1.
`

// A command is one of the program's. One that is live waits for peers, and ends
// in order when the program is told to end: a capture is finished. The others die of
// a signal at once, as programs do.
type command struct {
	run  func(context.Context, []string, *os.File) error
	live bool
}

var commands = map[string]command{
	"capture": {capture, true}, "replay": {replay, true},
	"print": {printEvents, false}, "summary": {summary, false}, "handshake": {handshake, false},
	"verify": {verify, false}, "fbs": {toFBS, false},
}

// run returns the exit status: 0 done, 1 failed, 2 wrong usage.
func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(stdout, help)
		return 0
	}
	if args[0] == "version" || args[0] == "--version" {
		fmt.Fprintf(stdout, "rfbtrace version %s\n", version.String())
		return 0
	}
	c, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "rfbtrace: there is no command %q; see rfbtrace help\n", args[0])
		return 2
	}
	if c.live {
		signaled, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		defer context.AfterFunc(signaled, stop)() // a second signal isn't waited for
		ctx = signaled
	}
	err := c.run(ctx, args[1:], stdout)
	_, wrong := errors.AsType[*usage.Error](err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		return 0
	case wrong:
		fmt.Fprintf(stderr, "rfbtrace %s: %v; see rfbtrace help\n", args[0], err)
		return usage.Status
	}
	for line := range strings.SplitSeq(named.Text(err), "\n") { // of errors that were joined
		fmt.Fprintf(stderr, "rfbtrace: %s\n", line)
	}
	return 1
}
