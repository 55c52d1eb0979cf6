// Package dialog is the window in which a session's user is asked. It knows
// nothing of sessions or processes: it needs a connection to a display and says
// what the user did.
package dialog

import (
	"cmp"
	"context"
	"image"
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop/internal/accessible"
	"vda.internal/shadow/internal/host/xconn"
)

// A Question is what the window shows. The names in it are shown as they are: whoever has
// them from outside must have cleaned and shortened them.
type Question struct {
	Language  string           // of the words, ISO 639-1
	Head      consent.Sentence // who asks for what, also the window's title
	Doubt     consent.Sentence // what is only claimed of who asks; nil: nothing
	Sees      consent.Sentence // what a Yes allows
	Cannot    consent.Sentence // what it doesn't
	Replaces  consent.Sentence // what a Yes ends; nil: nothing
	Watcher   consent.Sentence // what is only claimed of whom it ends; nil: nothing
	Purpose   consent.Sentence // why, in the administrator's own words; nil: no reason was given
	Locks     consent.Sentence // that locking the screen is a Yes; nil: it isn't
	Countdown consent.Sentence // what silence means, and when
	No, Yes   string           // the buttons
	Left      time.Duration    // until the question lapses, for the countdown. Ask doesn't end by it
	Bell      bool             // ring when it is on the screen

	// Reader hands the window on to screen readers; nil: nobody reads it. It doesn't end with Ask.
	Reader *accessible.Reader

	// Seen is called once, when the question has been in view for SeenAfter, which is not 0 then. Nil: there
	// is no need.
	Seen      func()
	SeenAfter time.Duration

	// Notice is how long the window must have been in view, if it asks nothing and only tells: then
	// there is no Yes, and the answer is Yes once it was. 0: it is a question.
	Notice time.Duration
	Basis  consent.Sentence // what allows the viewing then

	mostPurpose int // lines of Purpose; 0 means maxPurpose
}

// maxPurpose is how many lines an administrator's reason takes at most: 200 of the widest letters.
const maxPurpose = 10

func (q *Question) purposeLines() int { return cmp.Or(q.mostPurpose, maxPurpose) }

const (
	tickTime  = 100 * time.Millisecond // between steps of the countdown
	raiseTime = 500 * time.Millisecond // at least, between two attempts to get above another window
)

// Ask shows the window, calls shown when it has been drawn, and returns when the user
// has answered or closed it, or ctx ends, which is an error; it is ErrTaken if another question
// is on the display. If the screen is locked it
// shows nothing, and if it is locked meanwhile, or locked is closed, the answer is Locked.
// When the X server goes away it may never return: see [xconn.Conn.Gone]. It leaves the
// connection open and a goroutine waiting on it; both end with the process, and so does the
// window.
func Ask(ctx context.Context, x *xconn.Conn, q Question, locked <-chan struct{}, shown func()) (Answer, error) {
	lapse := time.Now().Add(q.Left)
	if q.Notice > 0 {
		q.Left = q.Notice // of which the bar shows a part
	}
	w, err := newWindow(x, questionKind)
	if err != nil {
		return No, err
	}
	if err := takeTurn(x.Conn, w.screen.Root); err != nil {
		return No, err
	}
	already, before := w.locked(ctx)
	if already {
		return Locked, nil
	}
	lib, err := newLibrary(q.Language)
	if err != nil {
		return No, err
	}
	monitor, buttons := w.monitor()
	v := layoutIn(monitor, q, lib, w.scale(), !w.managed)
	d := &prompt{
		window: w, lib: lib, view: v, controls: newControls(), lapse: lapse, buttons: buttons, shown: shown, before: before,
		screens: w.monitors(), holder: w.manager(), opened: time.Now(),
	}
	d.controls.noYes = q.Notice > 0
	v.update(d.state())
	if err := d.readKeyboard(); err != nil {
		return No, err
	}
	d.at = centre(v.img.Rect.Size(), monitor)
	if err := w.open(v.img, d.at, q.Head.Text(0)); err != nil {
		return No, err
	}
	return d.run(ctx, locked)
}

// layoutIn draws the question so that it fits a monitor, if that can be done: at a scale or a
// smaller one, and with fewer lines of the purpose.
func layoutIn(monitor image.Rectangle, q Question, lib *library, scale float64, framed bool) *view {
	v := layout(q, lib, scale, framed)
	for ; scale-scaleStep >= minScale && (v.img.Rect.Dx() > monitor.Dx() || v.img.Rect.Dy() > monitor.Dy()); v = layout(q, lib, scale, framed) {
		scale -= scaleStep
	}
	for q.Purpose != nil && q.purposeLines() > 1 && v.img.Rect.Dy() > monitor.Dy() { // the buttons come first
		q.mostPurpose = q.purposeLines() - 1
		v = layout(q, lib, scale, framed)
	}
	return v
}

// A prompt is the window in use.
type prompt struct {
	*window
	lib      *library
	view     *view
	controls *controls
	lapse    time.Time
	seen     time.Duration // how long it was in view
	seenAt   time.Time     // when that was added to last
	told     bool          // Seen was called
	buttons  uint16        // mouse buttons that were down when the window came
	shown    func()

	minKey  xproto.Keycode
	actions []action // by keycode, from minKey on

	exposed    bool          // it was drawn for the first time
	focused    bool          // it has the keyboard
	arriving   bool          // it got the keyboard, and the server's time is asked for
	previous   xproto.Window // that had the keyboard before
	shownAt    time.Time     // when the user could see it, for the looks of the buttons
	typedAt    time.Time     // when the user typed last, for the looks of the focus
	movedFocus time.Time     // when the user moved the focus last
	clearAt    time.Time     // when it came into view last, for the looks of Yes
	pixels     bool          // the screen shows it, as look has found last
	faded      bool          // another program has said how opaque it is
	covered    bool          // by another window, as the server says
	overlaid   bool          // by another window, as look has found last
	inside     bool          // the pointer is in it
	looked     time.Time     // last

	overlaidAt time.Time // when look last found it overlaid
	raised     time.Time // last
	sunk       time.Time // when it was raised and didn't come into view; zero: it has

	at       image.Point       // of its upper left corner, on the root window
	movedAt  time.Time         // when it came there, or zero
	rested   bool              // there, and stayOnScreen has seen to it
	screens  []image.Rectangle // the monitors that there are
	unmapped bool              // it was taken off the screen
	iconic   bool              // the window manager doesn't show it, be it mapped or not
	cut      bool              // not all of it is on a monitor
	cropped  time.Time         // since when another program leaves less of it; zero: all of it is there
	absent   time.Time         // since when the window manager hasn't shown it; zero: it does
	leaving  bool              // the window manager is to let go of it
	home     image.Point       // where it was when it began to leave

	opened   time.Time     // when the window was made
	holder   xproto.Window // the window manager's own window
	orphaned time.Time     // when the last window manager went; zero: there is one
	keyless  time.Time     // since when it wants the keyboard; zero: it doesn't

	before     []viewable // what was on the screen when the window came, and locked nothing
	lockLooks  int        // times that it was looked whether the screen is locked
	lockLooked time.Time  // last
	seized     bool       // it looked so then
}

// run handles events until there is an answer.
func (d *prompt) run(ctx context.Context, locked <-chan struct{}) (Answer, error) {
	// WaitForEvent can't be interrupted, so its goroutine isn't joined: see Ask.
	events := make(chan xgb.Event)
	go receive(d.x, events)
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.returnFocus()
			return No, ctx.Err()
		case now := <-tick.C:
			d.lookAgain()
			d.addSeen(now)
			if d.seenEnough() {
				d.returnFocus()
				return Yes, nil
			}
			d.tellSeen()
			d.lapseFocus()
			if d.lockedMeanwhile() {
				d.returnFocus()
				return Locked, nil
			}
		case <-locked:
			d.returnFocus()
			return Locked, nil
		case part := <-d.view.question.Reader.Pressed():
			if part == denyPart { // nothing else answers that way: see accessible.go
				d.returnFocus()
				return No, nil
			}
		case ev, ok := <-events:
			if !ok {
				return Closed, nil
			}
			if a, done := d.handle(ev); done && (a != Yes || !d.controls.noYes && d.mayAllow()) {
				d.returnFocus()
				return a, nil
			}
		}
		now := d.state()
		if err := d.repaint(d.view.img, d.view.update(now)); err != nil {
			return No, err
		}
		d.read(now)
	}
}

// receive hands on the events of x. Errors are passed over: they belong to
// requests that nothing depends on.
func receive(x *xconn.Conn, to chan<- xgb.Event) {
	defer close(to)
	for {
		ev, err := x.WaitForEvent()
		if ev == nil && err == nil {
			return
		}
		if ev != nil {
			to <- ev
		}
	}
}

// state is what the picture is to show now.
func (d *prompt) state() state {
	guard := time.Duration(GuardTime) * time.Millisecond
	ready := d.controls.drawn && time.Since(d.shownAt) >= guard
	barred := d.barred() || !d.controls.clear || time.Since(d.clearAt) < guard
	left := time.Until(d.lapse)
	if notice := d.view.question.Notice; notice > 0 {
		left = notice - d.seen
	}
	return state{
		left: left, ready: ready, barred: barred, typing: time.Since(d.typedAt) < guard,
		focus: d.controls.focus, hover: d.controls.hover, down: d.controls.down,
	}
}

const (
	mouseButtons = xproto.KeyButMaskButton1 | xproto.KeyButMaskButton2 | xproto.KeyButMaskButton3 |
		xproto.KeyButMaskButton4 | xproto.KeyButMaskButton5
	// chords are the modifiers that make a key mean something else: Control, Alt, Super.
	chords = xproto.KeyButMaskControl | xproto.KeyButMaskMod1 | xproto.KeyButMaskMod4
)

// handle takes one event. It reports whether that answers the question.
func (d *prompt) handle(ev xgb.Event) (Answer, bool) {
	c := d.controls
	drawnAt, typedAt, movedAt := c.drawnAt, c.typedAt, c.movedAt
	defer func() { // the same by our clock, for the looks
		if c.movedAt != movedAt {
			d.movedFocus = time.Now()
		}
		if c.drawnAt != drawnAt {
			d.shownAt = time.Now()
		}
		if c.typedAt != typedAt {
			d.typedAt = time.Now()
		}
	}()
	switch e := ev.(type) {
	case xproto.KeyPressEvent:
		if d.arriving || e.Event != d.id { // it was on its way to somebody else, or caught by keyboardTaken
			c.typed(uint32(e.Time))
			return No, false
		}
		return c.keyPress(uint32(e.Time), byte(e.Detail), d.action(e.Detail), e.State&chords == 0)
	case xproto.KeyReleaseEvent:
		c.keyRelease(uint32(e.Time), byte(e.Detail), d.action(e.Detail))
	case xproto.ButtonPressEvent:
		if !d.managed && !d.focused {
			d.takeFocus()
		}
		if d.movedTo(origin(e.RootX, e.RootY, e.EventX, e.EventY)) {
			return No, false
		}
		c.mousePress(uint32(e.Time), byte(e.Detail), d.view.at(int(e.EventX), int(e.EventY)), e.State&mouseButtons)
	case xproto.ButtonReleaseEvent:
		if d.movedTo(origin(e.RootX, e.RootY, e.EventX, e.EventY)) {
			return No, false
		}
		return c.mouseRelease(byte(e.Detail), d.view.at(int(e.EventX), int(e.EventY)))
	case xproto.MotionNotifyEvent:
		c.mouseMove(d.view.at(int(e.EventX), int(e.EventY)), e.State&mouseButtons)
	case xproto.EnterNotifyEvent:
		d.inside = true
		c.mouseMove(d.view.at(int(e.EventX), int(e.EventY)), e.State&mouseButtons)
	case xproto.LeaveNotifyEvent:
		d.inside = false
		c.mouseMove(noButton, e.State&mouseButtons)
	case xproto.MappingNotifyEvent:
		_ = d.readKeyboard() // the old one will do
	case xproto.ExposeEvent:
		d.firstExpose()
	case xproto.PropertyNotifyEvent:
		d.faded = d.faded || d.isFading(e)
		switch e.Atom {
		case d.atoms[shownMark]:
			d.uncovered(uint32(e.Time))
		case d.atoms["WM_STATE"], d.atoms["_NET_WM_STATE"]:
			d.readState()
		}
	case xproto.FocusInEvent:
		d.focusIn(e.Mode)
	case xproto.FocusOutEvent:
		if !ofGrab(e.Mode) {
			d.focused = false
		}
	case xproto.ConfigureNotifyEvent:
		if e.Window == d.screen.Root {
			d.watchScreen()
			d.stayOnScreen()
			break
		}
		d.settle()
	case xproto.ReparentNotifyEvent:
		d.settle()
		if d.leaving && e.Parent == d.screen.Root && !d.shut() { // else comeBack tries again
			d.land()
		}
	case xproto.UnmapNotifyEvent:
		d.setAway(&d.unmapped, true)
	case xproto.MapNotifyEvent:
		d.setAway(&d.unmapped, false)
		if d.exposed && !d.managed {
			d.takeKeyboard()
		}
	case xproto.VisibilityNotifyEvent:
		d.setCovered(e.State != xproto.VisibilityUnobscured)
		d.stayAbove()
	case xproto.DestroyNotifyEvent:
		return Closed, e.Window == d.id
	case xproto.ClientMessageEvent:
		return d.message(e)
	}
	return No, false
}

// firstExpose is the moment from which the user can see the window.
func (d *prompt) firstExpose() {
	if d.exposed {
		return
	}
	d.exposed = true
	if !d.managed {
		d.takeKeyboard()
	}
	d.markShown()
}

// takeKeyboard gives the window the keyboard, and notes who had it.
func (d *prompt) takeKeyboard() {
	if r, err := xproto.GetInputFocus(d.x.Conn).Reply(); err == nil && r.Focus > xproto.InputFocusPointerRoot && r.Focus != d.id {
		d.previous = r.Focus
	}
	d.takeFocus()
}

// focusIn takes the keyboard's arrival. The user may be in the middle of a word.
func (d *prompt) focusIn(mode byte) {
	if ofGrab(mode) || d.focused {
		return
	}
	d.focused = true
	d.controls.focus = denyButton
	if d.controls.drawn {
		d.arriving = true
		d.markShown()
	}
}

// lapseFocus gives the focus back to No once the user has had time to press Yes.
func (d *prompt) lapseFocus() {
	if d.controls.focus == allowButton && time.Since(d.movedFocus) >= focusTime*time.Millisecond {
		d.controls.lapse()
		d.typedAt = time.Now()
	}
}

// ofGrab reports whether a change of the focus only goes with a keyboard's grab, ours in
// keyboardTaken or another's.
func ofGrab(mode byte) bool { return mode == xproto.NotifyModeGrab || mode == xproto.NotifyModeUngrab }

// uncovered takes the server's time since when the user can see the window, for the
// first time or again.
func (d *prompt) uncovered(at uint32) {
	if d.arriving { // a click may have brought the keyboard, and counts
		d.arriving = false
		d.controls.typed(at)
		return
	}
	d.clearAt = time.Now()
	if !d.controls.drawn {
		d.controls.begin(at, d.buttons)
		if d.view.question.Bell {
			d.ring()
		}
		d.shown()
		return
	}
	d.controls.uncovered(at)
}

// message takes a window manager's message (ICCCM 4.2.8, EWMH).
func (d *prompt) message(m xproto.ClientMessageEvent) (Answer, bool) {
	if m.Type != d.atoms["WM_PROTOCOLS"] || m.Format != 32 {
		return No, false
	}
	switch xproto.Atom(m.Data.Data32[0]) {
	case d.atoms["WM_DELETE_WINDOW"]:
		return Closed, true
	case d.atoms["_NET_WM_PING"]:
		d.pong(m)
	}
	return No, false
}

// returnFocus gives the keyboard back, if it was taken and is still here.
func (d *prompt) returnFocus() {
	if !d.managed && d.focused && d.previous != 0 {
		// Checked, so that it is done before this process exits. A window that has gone
		// leaves the focus where the server puts it.
		_ = xproto.SetInputFocusChecked(d.x.Conn, xproto.InputFocusPointerRoot, d.previous, xproto.TimeCurrentTime).Check()
	}
}

// readKeyboard learns what the keys mean: their first symbol, without Shift, in
// the first layout.
func (d *prompt) readKeyboard() error {
	setup := xproto.Setup(d.x.Conn)
	n := int(setup.MaxKeycode) - int(setup.MinKeycode) + 1
	r, err := xproto.GetKeyboardMapping(d.x.Conn, setup.MinKeycode, byte(n)).Reply()
	if err != nil {
		return err
	}
	per := int(r.KeysymsPerKeycode)
	d.minKey, d.actions = setup.MinKeycode, make([]action, n)
	for i := range n {
		if per > 0 && i*per < len(r.Keysyms) {
			d.actions[i] = keysyms[uint32(r.Keysyms[i*per])]
		}
	}
	return nil
}

// action is what a key means.
func (d *prompt) action(k xproto.Keycode) action {
	if i := int(k) - int(d.minKey); i >= 0 && i < len(d.actions) {
		return d.actions[i]
	}
	return otherKey
}
