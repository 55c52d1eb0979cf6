package screen

import (
	"errors"
	"fmt"
	"image"
	"io"
	"log"
	"sync/atomic"
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/damage"
	"github.com/BurntSushi/xgb/randr"
	"github.com/BurntSushi/xgb/shm"
	"github.com/BurntSushi/xgb/xfixes"
	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/internal/host/xconn"
)

// Options say which screen [Open] opens.
type Options struct {
	Display    string        // of this host: ":1" or ":1.0"
	Xauthority string        // file with its cookie; empty: none
	Timeout    time.Duration // for connecting; 0 means 5 s
}

// A Screen is an X screen that is looked at over a connection of its own. Its
// methods are for one goroutine, but for Changed and Gone.
//
// When the X server goes away, [Screen.Gone] is closed, and a method that waits
// for an answer waits for ever: the process must exit then. An X server that hangs keeps a
// method for as long, and Open too once it is connected.
type Screen struct {
	conn   *xconn.Conn
	root   xproto.Window
	size   image.Point // of the root
	layout layout
	colors *colormap // nil: true colour

	damage xfixesDamage
	shm    *segment // nil: pixels come over the connection
	buffer []byte   // for pixels that need to be converted, or came over the connection
	randr  int      // minor version of RANDR 1; -1: there is none
	motion motion
	lacks  []string

	shapeAt time.Time // not before then is the pointer's picture asked for

	changed chan struct{}
	since   atomic.Int64 // when the damage began, in ns of the clock below; 0: there is none
	resized atomic.Bool  // the screen or its monitors may have changed
	shaped  atomic.Bool  // the pointer's picture may have changed
	moved   atomic.Bool  // the pointer may have moved
}

// An UnfitError says why a screen that is there can't be shown.
type UnfitError struct {
	Reason   string
	Xwayland bool // it is Xwayland's
	Large    bool // it has too many pixels, whoever shows it
}

// Error implements error.
func (e *UnfitError) Error() string { return e.Reason }

// ErrResized is that the screen was asked for pixels it no longer has. The new
// size is known after [Screen.Refresh].
var ErrResized = errors.New("the screen has another size now")

// started is when this process's clock began.
var started = time.Now()

// Open connects to a screen and gets everything ready. An [*UnfitError] says that
// it can't be shown; the other errors are xconn's.
func Open(o Options) (*Screen, error) {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	xgb.Logger = log.New(io.Discard, "", 0) // what it says, errors say
	conn, err := xconn.Dial(o.Display, o.Xauthority, o.Timeout)
	if err != nil {
		return nil, err
	}
	s := &Screen{conn: conn, changed: make(chan struct{}, 1)}
	ready := make(chan error, 1)
	go func() { ready <- s.setUp() }()
	select {
	case err = <-ready:
	case <-conn.Gone():
		return nil, errLost
	}
	if err != nil {
		select {
		case <-conn.Gone(): // which is why
			return nil, errLost
		default:
		}
		conn.Close()
		return nil, err
	}
	go s.listen()
	return s, nil
}

// errLost is that the X server let this program in and then went away.
var errLost = errors.New("the X server has closed the connection")

// setUp does what can fail. The extensions come first: xgb notes them where its
// reading goroutine looks when an event arrives.
func (s *Screen) setUp() error {
	setup := xproto.Setup(s.conn.Conn)
	n := s.conn.DefaultScreen
	if n >= len(setup.Roots) {
		return &UnfitError{Reason: fmt.Sprintf("the X server has %d screens, and no screen .%d", len(setup.Roots), n)}
	}
	info := setup.Roots[n]
	s.root, s.size = info.Root, image.Pt(int(info.WidthInPixels), int(info.HeightInPixels))
	if err := s.refuseXwayland(); err != nil {
		return err
	}
	if err := s.readVisual(setup, info); err != nil {
		return err
	}
	s.initRandR()
	if err := s.refuseXwaylandOutputs(); err != nil {
		return err
	}
	s.initDamage()
	if err := shm.Init(s.conn.Conn); err != nil {
		s.lack("MIT-SHM", "the picture comes over the connection, five times a second at most")
	}
	s.motion.init(s)
	s.selectEvents()
	if err := s.Refresh(); err != nil {
		return err
	}
	s.shaped.Store(true)
	return s.attach()
}

// lack notes that an extension isn't there and what follows from it.
func (s *Screen) lack(extension, so string) {
	s.lacks = append(s.lacks, fmt.Sprintf("the X server lacks %s: %s", extension, so))
}

// Lacks are sentences about what the X server lacks, and what follows from it.
func (s *Screen) Lacks() []string { return s.lacks }

// refuseXwayland refuses a server whose root has no pixels of its windows.
func (s *Screen) refuseXwayland() error {
	reply, err := xproto.QueryExtension(s.conn.Conn, uint16(len("XWAYLAND")), "XWAYLAND").Reply()
	if err == nil && reply.Present {
		return errXwayland
	}
	return nil
}

var errXwayland = &UnfitError{Xwayland: true, Reason: "this is Xwayland, the X server inside a Wayland session, and it doesn't have the session's picture"}

// selectEvents asks to be told of what [Screen.Changed] tells of.
func (s *Screen) selectEvents() {
	xproto.ChangeWindowAttributes(s.conn.Conn, s.root, xproto.CwEventMask, []uint32{xproto.EventMaskStructureNotify})
	if s.randr >= 0 {
		mask := uint16(randr.NotifyMaskScreenChange)
		if s.randr >= 2 {
			mask |= randr.NotifyMaskCrtcChange | randr.NotifyMaskOutputChange
		}
		randr.SelectInput(s.conn.Conn, s.root, mask)
	}
	if s.damage.cursors {
		xfixes.SelectCursorInput(s.conn.Conn, s.root, xfixes.CursorNotifyMaskDisplayCursor)
	}
}

// listen notes what the server tells of. It ends when the connection is closed.
func (s *Screen) listen() {
	for {
		event, err := s.conn.WaitForEvent()
		if event == nil && err == nil {
			return
		}
		switch event.(type) {
		case damage.NotifyEvent:
			s.since.CompareAndSwap(0, int64(time.Since(started)))
		case xfixes.CursorNotifyEvent:
			s.shaped.Store(true)
		case xproto.ConfigureNotifyEvent, randr.ScreenChangeNotifyEvent, randr.NotifyEvent:
			s.resized.Store(true)
		default:
			continue
		}
		s.tell()
	}
}

// tell wakes whoever waits for changes.
func (s *Screen) tell() {
	select {
	case s.changed <- struct{}{}:
	default: // told already
	}
}

// Changed is sent to after something may have changed: pixels, size, or pointer.
// [Screen.DamagedSince], [Screen.Resized] and [Screen.PointerMayDiffer] say what.
func (s *Screen) Changed() <-chan struct{} { return s.changed }

// Gone is closed when the X server has gone, or has closed the connection.
func (s *Screen) Gone() <-chan struct{} { return s.conn.Gone() }

// Resized reports whether the screen's size or monitors may have changed since
// [Screen.Refresh].
func (s *Screen) Resized() bool { return s.resized.Load() }

// Reconsider has [Screen.Resized] report true.
func (s *Screen) Reconsider() { s.resized.Store(true) }

// Size is the screen's size in pixels, as of the last [Screen.Refresh].
func (s *Screen) Size() image.Point { return s.size }

// Refresh finds out the screen's size.
func (s *Screen) Refresh() error {
	s.resized.Store(false)
	g, err := xproto.GetGeometry(s.conn.Conn, xproto.Drawable(s.root)).Reply()
	if err != nil {
		return fmt.Errorf("the size of the screen: %w", err)
	}
	s.size = image.Pt(int(g.Width), int(g.Height))
	return nil
}
