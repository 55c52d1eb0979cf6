package dialog

import (
	"image"
	"slices"
	"time"

	"github.com/BurntSushi/xgb/shape"
	"github.com/BurntSushi/xgb/xproto"
)

// Whatever window managers and other clients do with the question, it stays where the user
// can see and answer it: it comes back when it was put away, raises itself when it is covered,
// without the window manager if need be, and returns to its monitor when it was put partly
// outside of it. A Yes waits after each move, or somebody could bring the button under the
// user's hand. What comes back from off the screen takes no input at all for as long as a new
// question: the user may be about to click on what was there instead.

// restTime is how long the window must have kept its place before it moves itself: until
// then the user may be dragging it.
const restTime = 500 * time.Millisecond

// menuTime is how long a menu that the window manager keeps above the window may stay there.
const menuTime = 3 * time.Second

// cover says that the user hasn't seen the window as it is now. A Yes needs half a second
// from now on, and a press of the mouse on it is forgotten.
func (d *prompt) cover() {
	d.controls.cover()
	if d.exposed {
		d.markShown()
	}
}

// settle notes where the window is now.
func (d *prompt) settle() {
	r, err := xproto.TranslateCoordinates(d.x.Conn, d.id, d.screen.Root, 0, 0).Reply()
	if err != nil {
		return // it has gone, and an event will say so
	}
	d.movedTo(image.Pt(int(r.DstX), int(r.DstY)))
}

// movedTo takes where the window is, or was when the user clicked: somebody may have
// brought it there and back meanwhile. It reports whether that is another place.
func (d *prompt) movedTo(at image.Point) bool {
	if at == d.at {
		return false
	}
	d.at, d.movedAt, d.rested = at, time.Now(), false
	d.cover()
	return true
}

// origin is where the window was at an event of the pointer.
func origin(rootX, rootY, x, y int16) image.Point {
	return image.Pt(int(rootX)-int(x), int(rootY)-int(y))
}

// away reports whether the window, or a part of it, isn't on the screen.
func (d *prompt) away() bool { return d.unmapped || d.iconic || d.cut || !d.cropped.IsZero() }

// setAway takes whether the window is away for one of the reasons that there are.
func (d *prompt) setAway(reason *bool, away bool) {
	d.changeAway(func() { *reason = away })
}

// changeAway is setAway for whatever change does.
func (d *prompt) changeAway(change func()) {
	was := d.away()
	change()
	switch now := d.away(); {
	case now:
		d.controls.leave()
		d.inside = false // an EnterNotify says when it is again
	case was:
		d.controls.comeBack()
		d.cover()
	}
	if d.unmapped || d.iconic {
		if d.absent.IsZero() {
			d.absent = time.Now()
		}
	} else if !d.absent.IsZero() {
		d.absent = time.Time{}
		d.keyless = time.Now()
	}
}

// The values of WM_STATE (ICCCM 4.1.3.1).
const (
	withdrawnState = 0
	iconicState    = 3
)

// readState learns whether the window manager shows the window. Some keep windows mapped that
// they don't show, to draw pictures of them (EWMH, _NET_WM_STATE_HIDDEN).
func (d *prompt) readState() {
	d.setAway(&d.iconic, d.managed && (d.wmState() == iconicState || d.hasState("_NET_WM_STATE_HIDDEN")))
}

// hasState reports whether the window manager says that the window has a state (EWMH,
// _NET_WM_STATE).
func (w *window) hasState(name string) bool {
	const most = 32
	r, err := xproto.GetProperty(w.x.Conn, false, w.id, w.atoms["_NET_WM_STATE"], xproto.AtomAtom, 0, most).Reply()
	if err != nil || r.Format != 32 {
		return false
	}
	for b := r.Value; len(b) >= 4; b = b[4:] {
		if xproto.Atom(get32(b)) == w.atoms[name] {
			return true
		}
	}
	return false
}

// watchScreen learns what monitors there are, and whether one of them shows all of the window.
// After a change it fits the window into what is left at once.
func (d *prompt) watchScreen() {
	monitors := d.monitors()
	if !slices.Equal(monitors, d.screens) {
		d.screens = monitors
		d.rested, d.movedAt = false, time.Time{}
		d.refit()
	}
	d.setAway(&d.cut, d.isCut())
}

// isCut reports whether a part of the window lies outside of all monitors. Of a window that is
// too large for each of them the buttons decide.
func (d *prompt) isCut() bool {
	own := image.Rectangle{Min: d.at, Max: d.at.Add(d.size)}
	if !slices.ContainsFunc(d.screens, func(m image.Rectangle) bool { return own.Dx() <= m.Dx() && own.Dy() <= m.Dy() }) {
		own = d.view.deny.Union(d.view.allow).Add(d.at)
	}
	return sticksOut(own, d.screens)
}

// watchShape learns whether all of the window's picture is shown and takes input: any program can shrink a window, or cut a shape out of it.
func (d *prompt) watchShape() {
	uncut, geometry := d.askUncut(), xproto.GetGeometry(d.x.Conn, xproto.Drawable(d.id))
	whole := uncut()
	if g, err := geometry.Reply(); err == nil && (int(g.Width) < d.size.X || int(g.Height) < d.size.Y) {
		whole = false
	}
	switch {
	case whole && !d.cropped.IsZero():
		d.changeAway(func() { d.cropped = time.Time{} })
	case !whole && d.cropped.IsZero():
		d.changeAway(func() { d.cropped = time.Now() })
	}
}

// uncrop shows all of the window again, without the window manager if need be.
func (d *prompt) uncrop() {
	if d.cropped.IsZero() || d.leaving {
		return
	}
	if d.managed && time.Since(d.cropped) >= menuTime && d.mayRise() {
		d.leave()
		return
	}
	xproto.ConfigureWindow(d.x.Conn, d.id, xproto.ConfigWindowWidth|xproto.ConfigWindowHeight, []uint32{uint32(d.size.X), uint32(d.size.Y)})
	for _, kind := range shapeKinds {
		if d.hasShape {
			shape.Mask(d.x.Conn, shape.SoSet, kind, d.id, 0, 0, 0)
		}
	}
}

// refit draws the question smaller if it has become too large for its monitor.
func (d *prompt) refit() {
	m := nearest(d.screens, image.Rectangle{Min: d.at, Max: d.at.Add(d.size)})
	if d.size.X <= m.Dx() && d.size.Y <= m.Dy() {
		return
	}
	v := layoutIn(m, d.view.question, d.lib, d.view.scale, !d.managed)
	v.update(d.state())
	old := d.size
	d.size = v.img.Rect.Size()
	d.setSizeHints(d.at)
	if d.replace(v.img) != nil {
		d.size = old
		return // the old one will do, and is cut
	}
	d.view = v
}

// showTime is how long a window manager has to show the question first.
const showTime = time.Second

// appear takes the question out of the hands of a window manager that doesn't show it, as one
// that lets nothing above a full screen.
func (d *prompt) appear() {
	if !d.exposed && d.managed && !d.leaving && time.Since(d.opened) >= showTime && !d.mouseHeld() && d.mayRise() {
		d.leave()
	}
}

// watchManager notices that another window manager has taken over, or that there is none any
// more. Neither gives the question the keyboard.
func (d *prompt) watchManager() {
	now := d.manager()
	switch {
	case now == d.holder && now != 0:
		d.orphaned = time.Time{}
		return
	case now != 0:
		d.holder, d.orphaned = now, time.Time{}
		d.keyless = time.Now()
		if d.managed {
			d.activate()
		}
		return
	case !d.managed || d.leaving:
		return
	case d.orphaned.IsZero():
		d.orphaned = time.Now() // another may be about to come
	case time.Since(d.orphaned) >= showTime:
		d.orphaned = time.Time{}
		d.leave()
	}
}

// wantKeyboard takes the keyboard once the question is back on the screen without it, unless
// the window manager gives it, or somebody has grabbed it.
func (d *prompt) wantKeyboard() {
	switch {
	case d.keyless.IsZero() || d.away():
	case d.focused || time.Since(d.keyless) >= menuTime:
		d.keyless = time.Time{}
	case time.Since(d.keyless) >= raiseTime && !d.mouseHeld() && !d.keyboardTaken():
		d.takeKeyboard()
	}
}

// stayAbove raises the window if another covers it, but not so often that two windows that
// both want to be on top would fight. A lock stays on top.
//
// A window manager keeps some windows above others whatever those wish: one that fills the
// screen and has the keyboard (EWMH, Stacking order), and those that it doesn't manage. A
// question that it doesn't bring into view leaves its hands.
func (d *prompt) stayAbove() {
	if !d.covered && !d.overlaid {
		d.sunk = time.Time{}
		return
	}
	if !d.mayRise() {
		return
	}
	if d.sunk.IsZero() {
		d.sunk = d.raised
	} else if d.managed && d.hidden() && !d.inUse() {
		d.leave()
		return
	}
	d.raise()
}

// mayRise reports whether the window may get above others now: not too often, and not above
// what looks like a lock.
func (d *prompt) mayRise() bool {
	if time.Since(d.raised) < raiseTime {
		return false
	}
	d.raised = time.Now()
	return !d.shut()
}

// inUse reports whether what covers the window may be there for a moment only: a
// menu or a list of windows, which have the keyboard, or what a window manager shows while
// the user drags a window.
func (d *prompt) inUse() bool {
	return d.mouseHeld() || time.Since(d.sunk) < menuTime && d.keyboardTaken()
}

// mouseHeld reports whether a mouse button is down, or nobody can say.
func (d *prompt) mouseHeld() bool {
	p, err := xproto.QueryPointer(d.x.Conn, d.screen.Root).Reply()
	return err != nil || p.Mask&mouseButtons != 0
}

// leave withdraws the window from the window manager (ICCCM 4.1.4), which gives it back to
// the root window.
func (d *prompt) leave() {
	d.managed, d.leaving, d.home = false, true, d.at
	xproto.UnmapWindow(d.x.Conn, d.id)
	gone := xproto.UnmapNotifyEvent{Event: d.screen.Root, Window: d.id}
	xproto.SendEvent(d.x.Conn, false, d.screen.Root,
		xproto.EventMaskSubstructureNotify|xproto.EventMaskSubstructureRedirect, string(gone.Bytes()))
}

// land puts the window that has left where it was, on top, and as one that no window manager
// manages, with an edge of its own for the frame that it had.
func (d *prompt) land() {
	d.leaving = false
	d.view.addEdge()
	_ = d.repaint(d.view.img, []image.Rectangle{d.view.img.Rect}) // an edge is all that would be missing
	c := d.x.Conn
	// First of all, or a window manager that has mapped it again could have it back.
	xproto.ChangeWindowAttributes(c, d.id, xproto.CwOverrideRedirect, []uint32{1})
	// Compositors learn where the window is from its being moved, not from its new parent.
	xproto.ReparentWindow(c, d.id, d.screen.Root, int16(d.home.X), int16(d.home.Y+1))
	xproto.ConfigureWindow(c, d.id, xproto.ConfigWindowX|xproto.ConfigWindowY, []uint32{uint32(d.home.X), uint32(d.home.Y)})
	xproto.MapWindow(c, d.id)
	d.raise()
}

// comeBack puts the window on the screen again, but not so often that it would fight.
func (d *prompt) comeBack() {
	if d.absent.IsZero() && !d.leaving || !d.mayRise() {
		return
	}
	if d.leaving {
		d.land() // the window manager has had its time, whatever it did
		return
	}
	if d.managed && time.Since(d.absent) >= menuTime {
		d.leave()
		return
	}
	if d.wmState() == withdrawnState {
		d.setAtoms("_NET_WM_STATE", d.kind.state...) // a window manager that gave it up removed them (EWMH)
	} else {
		d.unshade()
		d.activate() // it is minimized, or all windows are, to show the desktop
	}
	xproto.MapWindow(d.x.Conn, d.id)
	d.raise()
}

// wmState is what the window manager says of the window: withdrawn if it says nothing.
func (w *window) wmState() uint32 {
	r, err := xproto.GetProperty(w.x.Conn, false, w.id, w.atoms["WM_STATE"], w.atoms["WM_STATE"], 0, 1).Reply()
	if err != nil || r.Format != 32 || len(r.Value) < 4 {
		return withdrawnState
	}
	return get32(r.Value)
}

// activate asks the window manager to show the window (EWMH, _NET_ACTIVE_WINDOW).
func (w *window) activate() {
	const application = 1 // asks, not the user
	w.ask("_NET_ACTIVE_WINDOW", application, xproto.TimeCurrentTime)
}

// unshade asks the window manager to roll the window down, if it has rolled it up.
func (w *window) unshade() {
	const remove, application = 0, 1
	if w.hasState("_NET_WM_STATE_SHADED") {
		w.ask("_NET_WM_STATE", remove, uint32(w.atoms["_NET_WM_STATE_SHADED"]), 0, application)
	}
}

// ask sends the window manager a message about the window (EWMH, Root Window Messages).
func (w *window) ask(what string, values ...uint32) {
	m := xproto.ClientMessageEvent{Format: 32, Window: w.id, Type: w.atoms[what],
		Data: xproto.ClientMessageDataUnionData32New(append(values, make([]uint32, 5-len(values))...))}
	xproto.SendEvent(w.x.Conn, false, w.screen.Root,
		xproto.EventMaskSubstructureNotify|xproto.EventMaskSubstructureRedirect, string(m.Bytes()))
}

// stayOnScreen moves the window back onto its monitor, once after each move, when it has
// come to rest and the user holds no mouse button.
func (d *prompt) stayOnScreen() {
	if d.rested || time.Since(d.movedAt) < restTime || d.mouseHeld() {
		return
	}
	d.rested = true
	own := image.Rectangle{Min: d.at, Max: d.at.Add(d.size)}
	monitors := d.monitors()
	if !sticksOut(own, monitors) {
		return
	}
	m := nearest(monitors, own)
	frame := d.frame(own)
	own = own.Add(moveInto(frame, m).Min.Sub(frame.Min))
	to := moveInto(own, m).Min // the buttons come first, if both don't fit
	if to != d.at {
		xproto.ConfigureWindow(d.x.Conn, d.id, xproto.ConfigWindowX|xproto.ConfigWindowY, []uint32{uint32(to.X), uint32(to.Y)})
	}
}

// frame is own with what the window manager puts around it (EWMH, _NET_FRAME_EXTENTS).
func (w *window) frame(own image.Rectangle) image.Rectangle {
	r, err := xproto.GetProperty(w.x.Conn, false, w.id, w.atoms["_NET_FRAME_EXTENTS"], xproto.AtomCardinal, 0, 4).Reply()
	if !w.managed || err != nil || r.Format != 32 || len(r.Value) < 16 {
		return own
	}
	side := func(i int) int { return int(min(get32(r.Value[4*i:]), 1000)) } // left, right, top, bottom
	return image.Rect(own.Min.X-side(0), own.Min.Y-side(2), own.Max.X+side(1), own.Max.Y+side(3))
}
