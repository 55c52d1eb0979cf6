package capture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"vda.internal/shadow/internal/host/xconn"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
	"vda.internal/shadow/source/internal/authority"
	"vda.internal/shadow/source/internal/screen"
	"vda.internal/shadow/source/internal/self"
)

// Arg is the first argument by which [Child] knows that this process is to show a
// display.
const Arg = self.Arg

// The exit statuses of [Child].
const (
	ExitDone     = 0 // the viewer has left
	ExitFailed   = 1
	ExitUsage    = 2
	ExitGone     = 3 // the display has gone
	ExitUnfit    = 4 // the display is there and can't be shown
	ExitXwayland = 5 // the display is Xwayland's, which doesn't have the session's picture
	ExitLarge    = 6 // the display has too many pixels, whoever shows it
)

// options are the command line's.
type options struct {
	display    string
	xauthority string
	monitor    string
	maxFPS     int
	pointer    bool
	check      bool
}

// Child does what this process is for, and exits, if its first argument is [Arg];
// in any other process it returns at once.
func Child() {
	if args, taken := self.Cookie.Taken(); taken {
		os.Exit(authority.Become(args, os.Stderr))
	}
	if args, taken := self.Capture.Taken(); taken {
		os.Exit(run(args, os.Stdin, os.Stdout, os.Stderr))
	}
}

// run is the command. It returns the exit status.
func run(args []string, stdin *os.File, stdout, stderr io.Writer) int {
	o, flags := parse(args)
	say := func(what any) {
		fmt.Fprintf(stderr, "shadowd %s: %s\n", Arg, oneLine(fmt.Sprint(what)))
	}
	switch {
	case errors.Is(flags, pflag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return ExitDone
	case flags != nil:
		say(flags)
		return ExitUsage
	}
	err := o.serve(stdin, stdout, func(note string) { say(note) })
	var unfit *screen.UnfitError
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, errGone):
		say(err)
		return ExitGone
	case errors.As(err, &unfit):
		say(unfit.Reason)
		switch {
		case unfit.Xwayland:
			return ExitXwayland
		case unfit.Large:
			return ExitLarge
		}
		return ExitUnfit
	}
	say(err)
	return ExitFailed
}

// flagSet is the command line, with o's fields behind it.
func flagSet(o *options) *pflag.FlagSet {
	f := pflag.NewFlagSet(Arg, pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(io.Discard)
	f.StringVar(&o.display, "display", "", "the `display` to show: :1, or :1.0 for one screen of several")
	f.StringVar(&o.xauthority, "xauthority", "", "`file` with the display's cookie")
	f.StringVar(&o.monitor, "monitor", "", "show only this `monitor`: its name, or its number, from 1; all as long as none has that name (default: all)")
	f.IntVar(&o.maxFPS, "max-fps", 30, "look at the screen so many times a second at most, from 1 to 60")
	f.BoolVar(&o.pointer, "pointer", true, "show the user's pointer")
	f.BoolVar(&o.check, "check", false, "say in JSON what there is to be shown, and exit")
	return f
}

func usage() string {
	var o options
	return "Usage: shadowd " + Arg + ` --display :N [flags]

Shows an X display to the RFB viewer on standard input, which must be a socket.
Exit status: 0 the viewer has left, 1 something failed, 2 wrong usage,
3 the display has gone (with --check: or refuses), 4 the display can't be shown,
5 it is Xwayland's, 6 it has too many pixels.

Flags:
` + flagSet(&o).FlagUsages()
}

func parse(args []string) (o options, err error) {
	f := flagSet(&o)
	switch err := f.Parse(args); {
	case err != nil:
		return o, err
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.display == "":
		return o, errors.New("--display is missing: which display is to be shown?")
	case o.maxFPS < 1 || o.maxFPS > 60:
		return o, fmt.Errorf("--max-fps is %d; 1 to 60 are allowed", o.maxFPS)
	}
	return o, nil
}

// setUpTime is how long it may take until the display is known. It is shorter than
// source.X11 waits for --check, so that this process says itself what is wrong.
const setUpTime = 7 * time.Second

// serve opens the display and shows it to the viewer on stdin, or says what there is. Note is
// called with what somebody should know.
func (o *options) serve(stdin *os.File, stdout io.Writer, note func(string)) error {
	limitRuntime()
	ended := make(chan error, 3)
	var v *viewer
	if !o.check {
		conn, err := net.FileConn(stdin)
		if err != nil {
			return fmt.Errorf("standard input must be a viewer's socket: %w", err)
		}
		defer conn.Close()
		v = newViewer(conn)
		go v.await(ended)
	}
	// Whoever waits for the answer of an X server that has gone, or hangs, waits for
	// ever, and mustn't keep this process.
	opened, ready := make(chan *screen.Screen, 1), make(chan struct{})
	go func() { ended <- o.work(v, stdout, ended, opened, ready, note) }()
	late := time.After(setUpTime)
	var gone <-chan struct{}
	for {
		select {
		case err := <-ended:
			if errors.Is(err, errLeft) {
				err = nil
			}
			return err
		case s := <-opened:
			gone = s.Gone()
		case <-ready:
			late, ready = nil, nil
		case <-gone:
			return errGone
		case <-late:
			return goneError{fmt.Errorf("the X server of display %s doesn't answer", o.display)}
		}
	}
}

// work is all that may wait for the X server. It sends to opened, and closes ready when it
// won't wait for the X server but to show what has changed.
func (o *options) work(
	v *viewer, stdout io.Writer, left chan<- error, opened chan<- *screen.Screen, ready chan<- struct{}, note func(string),
) error {
	s, err := screen.Open(screen.Options{Display: o.display, Xauthority: o.xauthority})
	if err != nil {
		return o.unreachable(err)
	}
	opened <- s
	desktop := desktopName(o.display) // which may read a file
	missing := confine()
	shown, err := choose(s, o.monitor, o.check)
	if err != nil {
		return err
	}
	view, err := shown.view(s, func(what string) { note(self.Changed + what) })
	if err != nil {
		return err
	}
	if o.check {
		return describe(s, stdout)
	}
	for _, what := range append(s.Lacks(), missing...) {
		note(what)
	}
	close(ready)
	return o.show(s, shown, view, desktop, v, left, note)
}

// unreachable is why a display couldn't be opened. A display that doesn't answer has
// gone; with --check, so has one that refuses.
func (o *options) unreachable(err error) error {
	var unfit *screen.UnfitError
	var refused *xconn.RefusedError // a CookieError wraps one
	var stranger *xconn.StrangerError
	switch {
	case errors.As(err, &unfit):
		return err
	case !o.check && (errors.As(err, &refused) || errors.As(err, &stranger)):
		return err
	}
	return goneError{err}
}

// goneError is errGone in words of its own.
type goneError struct{ error }

func (goneError) Is(target error) bool { return target == errGone }

// maxHeap is beyond what memory the garbage collector works hard; the frame comes on top.
const maxHeap = 64 << 20

// limitRuntime keeps the Go runtime small. Nearly all work is one goroutine's, and a
// second processor costs more in wake-ups than it saves: half of the CPU while
// somebody types.
func limitRuntime() {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(maxHeap)
}

// show greets the viewer and serves it. Left is told when the viewer has gone.
func (o *options) show(
	s *screen.Screen, shown choice, view image.Rectangle, desktop string, v *viewer, left chan<- error, note func(string),
) error {
	greeter := rfb.Server{Init: rfb.ServerInit{
		Width: uint16(view.Dx()), Height: uint16(view.Dy()), Format: encode.Format(), Name: shown.of(desktop),
	}}
	if _, err := greeter.Accept(context.Background(), v); err != nil {
		if hungUp(err) {
			return errLeft
		}
		return fmt.Errorf("the viewer: %w", err)
	}
	go func() {
		v.read()
		left <- cmp.Or(v.err, errLeft)
	}()
	interval := time.Second / time.Duration(o.maxFPS)
	gap := min(minGap, interval)
	if !s.Shared() {
		interval, gap = max(interval, slowGap), slowGap
	}
	srv := &server{
		screen: s, viewer: v, choice: shown, view: view, told: view.Size(), scroll: newScroller(),
		pointer: pointer{hidden: !o.pointer}, pace: pace{interval: interval, gap: gap}, resizes: pace{interval: resizeGap, gap: retryGap},
		changed: func(what string) { note(self.Changed + what) },
		desktop: desktop, touched: true, anew: true, sharpAt: never,
	}
	srv.setFrame(view.Size())
	return srv.serve()
}

// desktopName is what viewers call a display.
func desktopName(display string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return strings.ToValidUTF8(host+display, "?")
}

// A description is what --check prints.
type description struct {
	Width    int                `json:"width"`
	Height   int                `json:"height"`
	Lacks    []string           `json:"lacks,omitempty"`
	Monitors []monitorDescribed `json:"monitors,omitempty"`
}

type monitorDescribed struct {
	Name    string `json:"name"`
	X       int    `json:"x"`
	Y       int    `json:"y"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Primary bool   `json:"primary,omitempty"`
}

// describe prints what there is to be shown.
func describe(s *screen.Screen, stdout io.Writer) error {
	all, err := s.Monitors()
	if err != nil {
		return err
	}
	d := description{Width: s.Size().X, Height: s.Size().Y, Lacks: s.Lacks()}
	for _, m := range all {
		d.Monitors = append(d.Monitors, monitorDescribed{
			Name: m.Name, X: m.Rect.Min.X, Y: m.Rect.Min.Y, Width: m.Rect.Dx(), Height: m.Rect.Dy(), Primary: m.Primary,
		})
	}
	return json.NewEncoder(stdout).Encode(d)
}

// oneLine is s without line breaks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
