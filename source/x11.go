package source

import (
	"context"
	"encoding/json"
	"errors"
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

// X11 is the [shadow.Source] that shows an X display by itself: for each viewer it
// starts this program once more, as the session's user, to read the screen and
// be the viewer's RFB server. Nothing else needs to be installed, and that process
// has no code that could inject input. The zero value is ready, in a program
// whose main calls capture.Child first thing.
type X11 struct {
	Command   []string // program and arguments in the place of this program and "capture"; nil: this program
	MaxFPS    int      // looks at the screen a second at most, 1 to 60; 0 means 30
	NoPointer bool     // leave the user's pointer out of the picture

	mu       sync.Mutex
	monitors map[seen]sight
}

// The other exit statuses of capture.
const (
	exitUnfit   = 4
	exitWayland = 5
)

// checkTime is how long a display has to say what it is.
const checkTime = 8 * time.Second

// Validate says what is wrong with x, or returns nil.
func (x *X11) Validate() error {
	if x.MaxFPS < 0 || x.MaxFPS > 60 {
		return fmt.Errorf("source: looking at the screen %d times a second isn't possible; 1 to 60 are", x.MaxFPS)
	}
	return nil
}

// command is what to run for s.
func (x *X11) command(s *shadow.Session, more ...string) (*exec.Cmd, error) {
	argv := x.Command
	if len(argv) == 0 {
		if !self.Captures.Load() {
			return nil, errors.New("source: this program can't show a display by itself: its main must call capture.Child first thing")
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

// Check looks at s's display as its user would, and sees whether it can be shown:
// Xwayland ([shadow.Wayland]) and screens of odd kinds can't.
func (x *X11) Check(ctx context.Context, s *shadow.Session) error {
	_, err := x.Look(ctx, s)
	return err
}

// A Display is what there is to be shown of a session.
type Display struct {
	Width    int              // pixels
	Height   int              // pixels
	Lacks    []string         // sentences: what the X server lacks, and what follows from it
	Monitors []shadow.Monitor // the primary one first, then from left to right
}

// Look is Check, and says what there is.
func (x *X11) Look(ctx context.Context, s *shadow.Session) (*Display, error) {
	cmd, err := x.command(s, "--check")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fmt.Errorf("display %s doesn't answer", s.Display))
	defer cancel()
	out, code, said, err := output(ctx, cmd, s)
	if err != nil {
		return nil, fmt.Errorf("source: looking at the display: %w", err)
	}
	said = strings.TrimPrefix(said, "shadowd capture: ")
	switch code {
	case 0:
		d := new(Display)
		if err := json.Unmarshal(out, d); err != nil {
			return nil, fmt.Errorf("source: looking at the display: %w", err)
		}
		return d, nil
	case exitGone:
		return nil, &shadow.Refusal{Reason: shadow.DisplayUnreachable, Detail: said}
	case exitWayland:
		return nil, &shadow.Refusal{Reason: shadow.Wayland, Detail: said}
	}
	return nil, fmt.Errorf("source: %.300s (exit status %d)", said, code)
}

// lookTime is for how long a display's monitors are remembered.
const lookTime = 10 * time.Second

// Monitors implements [shadow.MonitorLister]. What is found is kept for ten seconds.
func (x *X11) Monitors(ctx context.Context, s *shadow.Session) ([]shadow.Monitor, error) {
	key := seen{s.UID, s.Display, s.Xauthority}
	x.mu.Lock()
	known, ok := x.monitors[key]
	x.mu.Unlock()
	if ok && time.Since(known.at) < lookTime {
		return known.list, nil
	}
	whole := *s
	whole.Monitor = ""
	d, err := x.Look(ctx, &whole)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for k, v := range x.monitors {
		if time.Since(v.at) >= lookTime {
			delete(x.monitors, k)
		}
	}
	if x.monitors == nil {
		x.monitors = make(map[seen]sight)
	}
	x.monitors[key] = sight{d.Monitors, time.Now()}
	return d.Monitors, nil
}

// seen is a display that was looked at, by whom and with which cookie; sight is what was
// seen.
type seen struct {
	uid                 uint32
	display, xauthority string
}

type sight struct {
	list []shadow.Monitor
	at   time.Time
}

// Open starts the RFB server for one viewer of s. Whether it could reach the session
// is seen when its greeting comes or doesn't; what it printed is in the error
// of [shadow.Ender]'s Err.
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
	conn, err := start("the capture of the display", cmd, s, "")
	if p, ok := conn.(*process); ok && s.Monitor != "" {
		p.detail = "only monitor " + s.Monitor + " is shown"
	}
	return conn, err
}
