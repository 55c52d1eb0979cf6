package dialog

import (
	"context"
	"image"
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop/internal/accessible"
	"vda.internal/shadow/internal/host/xconn"
)

// An Outcome is how a banner ended.
type Outcome uint8

// The outcomes.
const (
	Over      Outcome = iota // viewing has ended, and the banner has said so
	Destroyed                // the user has done away with the window, and so stopped the viewing
)

const (
	aliveTime    = 4 * time.Second        // between two signs of life
	settleTime   = 500 * time.Millisecond // after a pause began or ended, in which the other button ignores the rest of a double click
	noticeTime   = 4 * time.Second        // that the banner stays to say that viewing has ended
	steadyTime   = 10 * time.Second       // after which a banner on top has won its place
	maxRaiseTime = 30 * time.Second       // between two attempts to get above a window that comes back
)

// A Notice is what the banner shows. The names in it are shown as they are: whoever has
// them from outside must have cleaned and shortened them.
type Notice struct {
	Language string           // of the words, ISO 639-1
	Viewing  consent.Sentence // who is viewing, also the window's title
	Doubt    consent.Sentence // what is only claimed of who views; nil: nothing
	Purpose  consent.Sentence // why, in the administrator's own words; nil: no reason was given
	Basis    consent.Sentence // what allows it; nil: an answer does
	Stop     string           // the button
	Toggle   string           // another button, that pauses or goes on; empty: there is none
	Paused   bool             // nobody sees anything at the moment
	Until    time.Time        // for the seconds in Viewing
	Ended    consent.Sentence // that it is over, also the title then
	Bell     bool             // ring when it is on the screen

	mostPurpose int // lines of Purpose; 0 means bannerPurpose
}

// Reports are what [ShowBanner] calls while it shows the banner. No function may be nil, and none may
// block for long.
type Reports struct {
	// Reader hands the window on to screen readers; nil: nobody reads it. It doesn't end with ShowBanner.
	Reader *accessible.Reader

	Shown   func() // it has been drawn
	Alive   func() // every four seconds after that, if the X server has answered meanwhile
	Paused  func() // the user has pressed the other button while it pauses
	Resumed func() // the user has pressed the other button while it lets the viewing go on
	Stopped func() // the user has pressed Stop, which is told once; the banner waits to be told why viewing has ended
}

// ShowBanner tells the user who is viewing, with a button that stops it. When ended yields
// the words that say why viewing has ended it shows them for a few seconds, and nothing else
// if they are there from the beginning; when ended is closed, before or after that, it
// returns at once. It is [ErrUnpainted] when the screen no longer shows it. Apart from that it is
// as [Ask] is.
//
// The banner never takes the keyboard. It needs no window manager and none manages it:
// it stays on top of other windows by itself, on every virtual desktop. The mouse moves it.
//
// A notice from changes takes the place of n.
func ShowBanner(ctx context.Context, x *xconn.Conn, n Notice, changes <-chan Notice, ended <-chan string, report Reports) (Outcome, error) {
	w, err := newWindow(x, bannerKind)
	if err != nil {
		return Over, err
	}
	w.managed = false // none of its business
	w.attend()
	w.hear(false)
	lib, err := newLibrary(n.Language)
	if err != nil {
		return Over, err
	}
	monitor, _ := w.monitor()
	b := &banner{
		window: w, lib: lib, notice: n, report: report, raiseAfter: raiseTime,
		screens: w.monitors(), largest: w.scale(), holder: w.manager(), painter: w.compositor(),
		due: true, looked: time.Now(), lived: time.Now(),
		changes: limit{most: 8, within: time.Hour}, lapses: limit{most: 20, within: 10 * time.Minute}, renewals: limit{most: 4, within: time.Hour},
	}
	mark, marked := b.marked()
	if marked {
		monitor = choose(b.screens, mark)
	}
	b.title = n.Viewing.Text(0)
	select {
	case why, ok := <-ended:
		if !ok {
			return Over, nil
		}
		b.conclude(why)
	default:
	}
	b.layout(monitor.Size())
	b.at = topCentre(b.view.img.Rect.Size(), monitor, w.below(monitor))
	if marked {
		b.at = mark.Sub(image.Pt(b.view.img.Rect.Dx()/2, 0))
	}
	b.at = b.onto(b.at, b.screens)
	if err := w.open(b.view.img, b.at, b.title); err != nil {
		return Over, err
	}
	return b.run(ctx, changes, ended)
}

// A banner is the banner in use.
type banner struct {
	*window
	lib    *library
	view   *bannerView
	notice Notice
	report Reports
	title  string // of the window
	why    string // viewing has ended

	screens []image.Rectangle // the monitors
	largest float64           // the scale of the session's programs, as it was when these were looked at
	room    image.Point       // the size of the one to which the picture is fitted

	at    image.Point // of its upper left corner, on the root window
	drawn bool
	over  bool             // viewing has ended
	quit  bool             // the user has pressed Stop
	done  <-chan time.Time // yields when that has been said for long enough

	hover, down bannerButton // that the pointer is over; that it was pressed on
	toggling    bool         // the other button was pressed, and nothing has changed since
	changedAt   time.Time    // when a pause began or ended, as the banner says
	dragging    bool         // the mouse moves the banner
	dragged     bool         // it has, perhaps to another monitor
	grip        image.Point  // where it has hold of it

	due     bool      // there is a reason to look
	looked  time.Time // last
	strayed bool      // somebody has put it into another window
	lived   time.Time // when it gave a sign of life last, or could have

	covered    bool // by another window, as the server says
	below      bool // another window, as look has found last
	raised     time.Time
	raiseAfter time.Duration // grows while another window keeps coming back

	holder  xproto.Window // the window manager's own window
	painter xproto.Window // the compositor's
	unseen  time.Time     // since when the screen hasn't shown the banner; zero: it has
	faded   bool          // another program has said how opaque it is
	swapped time.Time     // when it got another picture
	stirred time.Time     // when anybody drew on it, or said something of it, last
	checked time.Time     // when it was last looked at for what others draw on it

	unproven bool // another window manager or compositor has taken over, and the screen hasn't shown it since

	changes, lapses, renewals limit // see unseen.go
}

// run handles events until viewing or the user ends it.
func (b *banner) run(ctx context.Context, changes <-chan Notice, ended <-chan string) (Outcome, error) {
	events := make(chan xgb.Event)
	go receive(b.x, events) // see Ask
	wake := time.NewTimer(b.rest())
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return Over, ctx.Err()
		case why, ok := <-ended:
			if !ok {
				return Over, nil
			}
			if err := b.finish(why); err != nil {
				return Over, err
			}
		case n := <-changes:
			b.turn(n.Paused)
			if err := b.change(n); err != nil {
				return Over, err
			}
		case part := <-b.report.Reader.Pressed():
			b.pressed(part)
		case <-b.done:
			return Over, nil
		case <-wake.C:
		case ev, ok := <-events:
			if !ok || b.handle(ev) {
				if b.over || b.quit {
					return Over, nil
				}
				return Destroyed, nil
			}
		}
		if err := b.tend(); err != nil {
			return Over, err
		}
		if err := b.repaint(b.view.img, b.view.update(b.hover, b.down)); err != nil {
			return Over, err
		}
		b.read()
		wake.Reset(b.rest())
	}
}

// handle takes one event. It reports whether the window is gone.
func (b *banner) handle(ev xgb.Event) bool {
	b.heed(ev)
	switch e := ev.(type) {
	case xproto.ExposeEvent:
		if !b.drawn {
			b.drawn = true
			b.lived = time.Now()
			if b.notice.Bell && !b.over {
				b.ring()
			}
			b.report.Shown()
		}
	case xproto.ButtonPressEvent:
		b.press(e)
	case xproto.ButtonReleaseEvent:
		switch b.release(e) {
		case stopButton:
			b.stop()
		case toggleButton:
			b.toggle()
		}
	case xproto.MotionNotifyEvent:
		b.move(e)
	case xproto.EnterNotifyEvent:
		b.hover = b.view.at(int(e.EventX), int(e.EventY))
	case xproto.LeaveNotifyEvent:
		b.hover = noBannerButton
	case xproto.VisibilityNotifyEvent:
		if e.Window == b.id { // and not that of a window from before
			b.covered = e.State != xproto.VisibilityUnobscured
		}
	case xproto.DestroyNotifyEvent:
		return e.Window == b.id
	case xproto.ClientMessageEvent:
		if e.Type == b.atoms["WM_PROTOCOLS"] && e.Format == 32 && xproto.Atom(e.Data.Data32[0]) == b.atoms["WM_DELETE_WINDOW"] {
			b.stop()
		}
	}
	return false
}

// stop tells that the user wants no viewer.
func (b *banner) stop() {
	if !b.over && !b.quit {
		b.quit = true
		b.report.Stopped()
	}
}

// toggle reports that the user wants a pause, or that it ends: the one that the button says. A double
// click means no more than one click: until the banner has changed, and for settleTime after that, the
// button does nothing.
func (b *banner) toggle() {
	if b.over || b.quit || b.toggling || time.Since(b.changedAt) < settleTime {
		return
	}
	b.toggling = true
	if b.notice.Paused {
		b.report.Resumed()
	} else {
		b.report.Paused()
	}
}

func (b *banner) press(e xproto.ButtonPressEvent) {
	if e.Detail != 1 {
		return
	}
	b.down = b.view.at(int(e.EventX), int(e.EventY))
	b.dragging = b.down == noBannerButton
	b.grip = image.Pt(int(e.EventX), int(e.EventY))
}

// release is the button of which it completes a click, if it does.
func (b *banner) release(e xproto.ButtonReleaseEvent) bannerButton {
	if e.Detail != 1 {
		return noBannerButton
	}
	pressed := b.down
	if b.dragging {
		b.mark()
		b.dragged, b.due = true, true
	}
	b.down, b.dragging = noBannerButton, false
	if b.view.at(int(e.EventX), int(e.EventY)) != pressed {
		return noBannerButton
	}
	return pressed
}

func (b *banner) move(e xproto.MotionNotifyEvent) {
	b.hover = b.view.at(int(e.EventX), int(e.EventY))
	if b.dragging && e.State&xproto.KeyButMaskButton1 != 0 {
		b.place(image.Pt(int(e.RootX), int(e.RootY)).Sub(b.grip))
	}
}

// look keeps the banner where it can be seen: on the screen, which may have become
// smaller, and on top. Against a window that wants to be on top as well, such as a
// locked screen, it tries less and less often.
func (b *banner) look() error {
	// What happens from now on is told again, before anything is asked. All is asked at once: there are
	// many banners on a host with many sessions.
	b.due, b.looked = false, time.Now()
	b.hear(b.painter != 0)
	b.hearDrawing()
	asked, within, compositor, manager, place := b.askMonitors(), b.askChildren(b.id), b.askCompositor(), b.askManager(), b.askPlace()
	monitors, astray := asked(), !place() || b.strayed
	if err := b.refit(monitors); err != nil {
		return err
	}
	b.placeOn(b.at, monitors)
	if len(within()) > 0 {
		xproto.DestroySubwindows(b.x.Conn, b.id) // they would hide it; see seen.go
	}
	painter, holder := compositor(), manager()
	b.hear(painter != 0)
	b.below = b.covered || painter != 0 && b.anythingAbove()
	switch {
	case !b.below && time.Since(b.raised) >= steadyTime:
		b.raiseAfter = raiseTime
	case b.below && time.Since(b.raised) >= b.raiseAfter:
		b.raised = time.Now()
		b.raiseAfter = min(2*b.raiseAfter, maxRaiseTime)
		b.raise()
	}
	return b.watch(holder, painter, astray)
}

// turn notes that the banner is told how the viewing goes on, before it says so. That may be what it
// says already: changes that come fast are not all told.
func (b *banner) turn(paused bool) {
	b.toggling = false
	if paused != b.notice.Paused {
		b.changedAt = time.Now()
	}
}

// change makes the banner say something else, in the place where it is.
func (b *banner) change(n Notice) error {
	if b.over {
		return nil
	}
	same := n.Toggle == b.notice.Toggle
	b.notice = n
	old := b.size
	b.layout(b.under().Size())
	if !same {
		b.hover, b.down = noBannerButton, noBannerButton
	}
	b.title = n.Viewing.Text(time.Until(n.Until))
	return b.swap(old)
}

// countDown shows the seconds that are left, if the notice has any.
func (b *banner) countDown() error {
	if b.notice.Until.IsZero() || b.over || seconds(time.Until(b.notice.Until)) == b.view.seconds {
		return nil
	}
	return b.change(b.notice)
}

// swap shows the new picture and title where one of a size was.
func (b *banner) swap(old image.Point) error {
	b.setText(xproto.AtomWmName, xproto.AtomString, latin1(b.title))
	b.setText(b.atoms["_NET_WM_NAME"], b.atoms["UTF8_STRING"], b.title)
	if err := b.replace(b.view.img); err != nil {
		return err
	}
	b.swapped = time.Now()
	b.place(b.at.Add(image.Pt((old.X-b.size.X)/2, 0)))
	return nil
}

// conclude notes that viewing has ended, and why, for the next picture.
func (b *banner) conclude(why string) {
	b.over, b.hover, b.down, b.dragging = true, noBannerButton, noBannerButton, false
	b.done = time.After(noticeTime)
	b.title, b.why = b.notice.Ended.Text(0), why
}

// finish makes the banner say that viewing has ended, and why.
func (b *banner) finish(why string) error {
	old := b.size
	b.conclude(why)
	b.layout(b.under().Size())
	return b.swap(old)
}
