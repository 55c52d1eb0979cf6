package source

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/source/internal/self"
)

// X11 is a [shadow.Source] that captures an X display. For each viewer it starts the running program
// again, as the session's user; that process reads the screen and acts as the viewer's RFB server.
// It contains no code that could inject input, and nothing else needs to be installed. A virtual
// terminal that is left, a locked screen, and a monitor that sleeps (DPMS) end no view: the picture is
// then whatever the X server has, black, old, or the locker's, and no monitor is woken. The zero
// value is ready to use in a program whose main calls capture.Child first:
//
//	func main() {
//		capture.Child() // doesn't return in the processes that X11 starts
//		session := &shadow.Session{User: "alice", UID: 1000, GID: 1000, Display: ":1", Xauthority: "/home/alice/.Xauthority"}
//		conn, err := new(source.X11).Open(context.Background(), session)
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer conn.Close()
//		… // conn is an RFB server's, which expects its viewer's ProtocolVersion
//	}
type X11 struct {
	Command   []string // program and arguments to start instead of this program with "capture"; nil: this program
	MaxFPS    int      // maximum number of captures a second, 1 to 60; 0 means 30
	NoPointer bool     // leave the user's pointer out of the picture

	mu       sync.Mutex
	monitors map[seen]*sight
}

// The other exit statuses of capture.
const (
	exitUnfit   = 4
	exitWayland = 5
	exitLarge   = 6
)

// captureSays begins each line that capture prints.
const captureSays = "shadowd " + self.Arg + ": "

// checkTime is how long a display has to say what it is.
const checkTime = 8 * time.Second

// Validate returns an error if a field of x is invalid.
func (x *X11) Validate() error {
	if x.MaxFPS < 0 || x.MaxFPS > 60 {
		return pkg.Errorf("looking at the screen %d times a second isn't possible; 1 to 60 are", x.MaxFPS)
	}
	return nil
}

// command is what to run for s.
func (x *X11) command(s *shadow.Session, more ...string) (*exec.Cmd, error) {
	argv := x.Command
	if len(argv) == 0 {
		if !self.Capture.Ready() {
			return nil, pkg.New("this program can't show a display by itself: its main must call capture.Child first thing")
		}
		argv = []string{child.Self, self.Arg}
	}
	args := append(argv[1:len(argv):len(argv)], "--display", s.Display)
	if s.Xauthority != "" {
		args = append(args, "--xauthority", s.Xauthority)
	}
	if s.Monitor != "" {
		args = append(args, "--monitor", s.Monitor)
	}
	return exec.Command(argv[0], append(args, more...)...), nil
}

// Check connects to s's display as the session's user and returns an error if it can't be captured,
// such as Xwayland ([shadow.Wayland]) or a screen with an unsupported visual.
func (x *X11) Check(ctx context.Context, s *shadow.Session) error {
	d, err := x.Look(ctx, s)
	if err == nil {
		x.remember(s, d.Monitors)
	}
	return err
}

// A Display describes the screen of a session.
type Display struct {
	Width    int              // pixels
	Height   int              // pixels
	Lacks    []string         // sentences: what the X server lacks, and the consequence
	Monitors []shadow.Monitor // the primary one first, then from left to right
}

// Look does what Check does, and describes the display.
func (x *X11) Look(ctx context.Context, s *shadow.Session) (*Display, error) {
	cmd, err := x.command(s, "--check")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime,
		&shadow.End{Reason: shadow.DisplayUnreachable, Detail: fmt.Sprintf("display %s doesn't answer", s.Display)})
	defer cancel()
	out, code, said, err := output(ctx, cmd, s)
	if err != nil {
		return nil, pkg.Errorf("looking at the display: %w", err)
	}
	said, ours := strings.CutPrefix(said, captureSays)
	switch code {
	case 0:
		d := new(Display)
		if err := json.Unmarshal(out, d); err != nil {
			return nil, pkg.Errorf("looking at the display: %w", err)
		}
		return d, nil
	case exitGone:
		return nil, &shadow.End{Reason: shadow.DisplayUnreachable, Detail: said}
	case exitWayland:
		return nil, &shadow.End{Reason: shadow.Wayland, Detail: said}
	case exitLarge: // for the relay, whatever the source
		return nil, &shadow.End{Reason: shadow.SourceFailed, Detail: said}
	case exitUnfit:
		return nil, pkg.Errorf("%w", &unfitError{said})
	}
	if !ours { // as the Go runtime's last words
		said = "the capture broke off"
	}
	return nil, pkg.Errorf("%.300s (exit status %d)", said, code)
}

// An unfitError is why x11 can't show a display that another program may be able to show.
type unfitError struct{ reason string }

func (e *unfitError) Error() string { return fmt.Sprintf("%.300s", e.reason) }

// lookTime is for how long a display's monitors are remembered.
const lookTime = 10 * time.Second

// Monitors implements [shadow.MonitorLister]. The result, even an error, is cached for ten seconds,
// so a display is queried at most once in that time.
func (x *X11) Monitors(ctx context.Context, s *shadow.Session) ([]shadow.Monitor, error) {
	v, mine := x.sight(s)
	if mine {
		whole := *s
		whole.Monitor = ""
		go func() { // whoever else waits for it has a ctx of its own
			defer close(v.there)
			d, err := x.Look(context.WithoutCancel(ctx), &whole)
			if v.err = err; err == nil {
				v.list = d.Monitors
			}
		}()
	}
	select {
	case <-v.there:
		return v.list, v.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// sight is the newest of s's display, and whether the caller is to look.
func (x *X11) sight(s *shadow.Session) (v *sight, mine bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if v := x.monitors[seenOf(s)]; v != nil && time.Since(v.begun) < lookTime {
		return v, false
	}
	return x.begin(s), true
}

// remember keeps what monitors s's display has.
func (x *X11) remember(s *shadow.Session, list []shadow.Monitor) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.begin(s)
	v.list = list
	close(v.there)
}

// begin makes a new sight of s's display, and forgets what is too old. x.mu is held.
func (x *X11) begin(s *shadow.Session) *sight {
	for k, v := range x.monitors {
		if time.Since(v.begun) >= lookTime {
			delete(x.monitors, k)
		}
	}
	if x.monitors == nil {
		x.monitors = make(map[seen]*sight)
	}
	v := &sight{begun: time.Now(), there: make(chan struct{})}
	x.monitors[seenOf(s)] = v
	return v
}

// seen is a display that was looked at, by whom and with which cookie; sight is what was
// seen.
type seen struct {
	uid                 uint32
	display, xauthority string
}

func seenOf(s *shadow.Session) seen { return seen{s.UID, s.Display, s.Xauthority} }

type sight struct {
	begun time.Time
	there chan struct{} // closed when the rest is
	list  []shadow.Monitor
	err   error
}

// Open starts the RFB server for one viewer of s. It doesn't wait for that server to reach the
// display: a failure shows when its greeting doesn't come, and [shadow.Ender]'s Err then has what
// it printed.
func (x *X11) Open(_ context.Context, s *shadow.Session) (net.Conn, error) {
	var more []string
	if x.MaxFPS != 0 {
		more = append(more, "--max-fps", strconv.Itoa(x.MaxFPS))
	}
	if x.NoPointer {
		more = append(more, "--pointer=false")
	}
	cmd, err := x.command(s, more...)
	if err != nil {
		return nil, err
	}
	conn, err := start("the capture of the display", child.Start, cmd, s, "", nil, newNotes())
	if p, ok := conn.(*process); ok {
		p.fresh = true
		if s.Monitor != "" {
			p.detail = "only monitor " + s.Monitor + " is shown"
		}
	}
	return conn, err
}
