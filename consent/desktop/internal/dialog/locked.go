package dialog

import (
	"context"
	"image"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/xgb/dpms"
	"github.com/BurntSushi/xgb/screensaver"
	"github.com/BurntSushi/xgb/shape"
	"github.com/BurntSushi/xgb/xproto"
)

const (
	lockTime  = time.Second            // that a keyboard must stay grabbed
	lockPause = 100 * time.Millisecond // between two attempts to grab it
)

// locked reports whether there is nobody to ask: the keyboard stays with somebody else while a
// curtain lies over every monitor, which is what programs that lock the screen have in common.
// An open menu has the keyboard, too, and a virtual machine's window covers the screen, too. It
// also returns the windows that were on the screen. A screen that is only dark is woken.
//
// Nothing is left grabbed.
func (w *window) locked(ctx context.Context) (bool, []viewable) {
	w.wake()
	for until := time.Now().Add(lockTime); ; {
		tops := w.tops()
		switch {
		case len(w.curtain(tops)) == 0 || !w.keyboardTaken():
			return false, tops
		case time.Now().After(until):
			return true, tops
		}
		select {
		case <-ctx.Done():
			return false, tops // which says more than locked
		case <-time.After(lockPause):
		}
	}
}

// newLooks is how many looks a locker has to take the keyboard for windows that came before
// the question: one that is starting may show them first.
const newLooks = 2

// lockedMeanwhile looks once in lockTime whether the screen has been locked since the window
// came: whether it was shut both this time and the last.
func (d *prompt) lockedMeanwhile() bool {
	if time.Since(d.lockLooked) < lockTime {
		return false
	}
	d.lockLooked = time.Now()
	if d.lockLooks++; d.lockLooks <= newLooks && len(d.curtain(d.tops())) > 0 && d.keyboardTaken() {
		d.before = nil
	}
	d.wake()
	return d.staysShut(d.shut())
}

// staysShut takes whether the screen is shut now, and reports whether it was so twice running.
// Once may be a menu over a window that has just come.
func (d *prompt) staysShut(now bool) bool {
	last := d.seized
	d.seized = now
	return last && now
}

// shut reports whether the keyboard is taken, with a curtain of windows that weren't there
// before.
func (d *prompt) shut() bool {
	curtain := d.curtain(d.tops())
	old := slices.ContainsFunc(curtain, func(v viewable) bool { return holds(d.before, v.id) })
	return len(curtain) > 0 && !old && d.keyboardTaken()
}

func holds(windows []viewable, id xproto.Window) bool {
	return slices.ContainsFunc(windows, func(v viewable) bool { return v.id == id })
}

// wake ends the server's own screen saver (MIT-SCREEN-SAVER) and switches the monitors on (DPMS).
// They come by themselves when there is no input, and lock nothing.
func (w *window) wake() {
	if w.hasSaver {
		r, err := screensaver.QueryInfo(w.x.Conn, xproto.Drawable(w.screen.Root)).Reply()
		if err == nil && r.State == screensaver.StateOn {
			xproto.ForceScreenSaver(w.x.Conn, xproto.ScreenSaverReset)
		}
	}
	if w.hasDPMS {
		r, err := dpms.Info(w.x.Conn).Reply()
		if err == nil && r.State && r.PowerLevel != dpms.DPMSModeOn {
			dpms.ForceLevel(w.x.Conn, dpms.DPMSModeOn)
		}
	}
}

// blank reports whether the server's own screen saver (MIT-SCREEN-SAVER) is over everything.
func (w *window) blank() bool {
	if !w.hasSaver {
		return false
	}
	r, err := screensaver.QueryInfo(w.x.Conn, xproto.Drawable(w.screen.Root)).Reply()
	return err == nil && r.State == screensaver.StateOn && r.Kind != screensaver.KindExternal
}

// keyboardTaken reports whether another client has grabbed the keyboard.
func (w *window) keyboardTaken() bool {
	r, err := xproto.GrabKeyboard(w.x.Conn, true, w.screen.Root, xproto.TimeCurrentTime,
		xproto.GrabModeAsync, xproto.GrabModeAsync).Reply()
	if err != nil {
		return false
	}
	if r.Status == xproto.GrabStatusSuccess {
		_ = xproto.UngrabKeyboardChecked(w.x.Conn, xproto.TimeCurrentTime).Check()
	}
	return r.Status == xproto.GrabStatusAlreadyGrabbed
}

// tops are the uppermost windows that are on the screen, the lowest first. Those that a program
// has put into the window that compositors draw on (COMPOSITE, CompositeGetOverlayWindow), to be above
// all others, are in its place.
func (w *window) tops() []viewable {
	all := w.children(w.screen.Root)
	var tops []viewable
	for _, v := range w.viewable(all[max(0, len(all)-maxAbove):]) {
		if !w.isOverlay(v.id) {
			tops = append(tops, v)
			continue
		}
		in := w.children(v.id)
		for _, inner := range w.viewable(in[max(0, len(in)-maxAbove):]) {
			inner.override = true // no window manager manages windows there
			tops = append(tops, inner)
		}
	}
	return tops
}

// slack is how many pixels at its edges a lock may leave free. Xsecurelock's windows are smaller
// than the monitor, or some compositors would take them for full screens.
const slack = 2

// curtain is those of tops that lie over every monitor as a lock does: each over all of one at
// least, opaque to sight and pointer, out of the window managers' hands, and with
// nothing else above. So neither a wallpaper behind a menu is one, nor a window that is
// maximized, nor what a compositor draws on. This program's own windows don't matter: they
// come up again when they are covered. It is empty if a monitor has none.
func (w *window) curtain(tops []viewable) []viewable {
	monitors := w.monitors()
	bare := monitors
	var curtain []viewable
	for _, v := range slices.Backward(tops) {
		if !v.shows || !overlapsAny(v.area, monitors) {
			continue
		}
		managed, ours := w.belongs(v.id)
		if ours {
			continue
		}
		outline, input := w.shape(v, shape.SkBounding), w.shape(v, shape.SkInput)
		if !overlapsAny(v.area, outline) || !overlapsAny(v.area, input) {
			continue // the pointer passes
		}
		veils := func(m image.Rectangle) bool {
			m = m.Inset(slack)
			return !sticksOut(m, outline) && !sticksOut(m, input)
		}
		if !v.override || managed || !slices.ContainsFunc(monitors, veils) {
			return nil
		}
		curtain = append(curtain, v)
		if bare = slices.DeleteFunc(slices.Clone(bare), veils); len(bare) == 0 {
			return curtain
		}
	}
	return nil
}

func overlapsAny(r image.Rectangle, areas []image.Rectangle) bool {
	return slices.ContainsFunc(areas, r.Overlaps)
}

// maxShape is how many rectangles a window's outline may have. One with more is no curtain.
const maxShape = 64

// shape is a window's outline, or the part of it that takes input (SHAPE 1.1), on the root
// window. It is all of the window if the server doesn't say.
func (w *window) shape(v viewable, kind shape.Kind) []image.Rectangle { return w.askShape(v, kind)() }

// askShape asks for it, and returns what waits for the answer, which must be called.
func (w *window) askShape(v viewable, kind shape.Kind) func() []image.Rectangle {
	if !w.hasShape {
		return func() []image.Rectangle { return []image.Rectangle{v.area} }
	}
	asked := shape.GetRectangles(w.x.Conn, v.id, kind)
	return func() []image.Rectangle {
		r, err := asked.Reply()
		if err != nil {
			return []image.Rectangle{v.area}
		}
		return v.parts(r.Rectangles)
	}
}

// shapeKinds are what a window has a shape of.
var shapeKinds = []shape.Kind{shape.SkBounding, shape.SkClip, shape.SkInput}

// askUncut asks for this window's shapes, and returns what waits for the answers, which must be called: whether all of its picture
// is shown and takes input.
func (w *window) askUncut() func() bool {
	area := image.Rectangle{Max: w.size}
	var answers []func() []image.Rectangle
	for _, kind := range shapeKinds {
		answers = append(answers, w.askShape(viewable{id: w.id, area: area}, kind))
	}
	return func() bool {
		whole := true
		for _, answer := range answers { // every reply is taken, or xgb would keep it
			whole = !sticksOut(area, answer()) && whole
		}
		return whole
	}
}

// parts are the first ones of a window's rectangles, on the root window.
func (v viewable) parts(of []xproto.Rectangle) []image.Rectangle {
	var parts []image.Rectangle
	for _, p := range of[:min(maxShape, len(of))] {
		at := v.inside.Add(image.Pt(int(p.X), int(p.Y)))
		part := image.Rectangle{Min: at, Max: at.Add(image.Pt(int(p.Width), int(p.Height)))}.Intersect(v.area)
		if !part.Empty() {
			parts = append(parts, part)
		}
	}
	return parts
}

const (
	maxNested = 3  // a client's window is at most so deep in a window manager's frame
	maxInner  = 64 // windows within another that are looked at
)

// belongs reports whether a window is managed by a window manager, or is the frame that one
// has made, which holds a window with a state (ICCCM 4.1.3.1), and whether it is
// this program's: the banner, the question, or the frame of one.
func (w *window) belongs(top xproto.Window) (managed, ours bool) {
	level := []xproto.Window{top}
	for range maxNested {
		var next []xproto.Window
		for _, id := range level[:min(maxInner, len(level))] {
			state := xproto.GetProperty(w.x.Conn, false, id, w.atoms["WM_STATE"], w.atoms["WM_STATE"], 0, 1)
			class := xproto.GetProperty(w.x.Conn, false, id, xproto.AtomWmClass, xproto.AtomString, 0, 64)
			tree := xproto.QueryTree(w.x.Conn, id)
			if r, err := state.Reply(); err == nil && r.Format != 0 {
				managed = true
			}
			if r, err := class.Reply(); err == nil && strings.HasSuffix(string(r.Value), "\x00"+className+"\x00") {
				ours = true
			}
			if r, err := tree.Reply(); err == nil {
				next = append(next, r.Children...)
			}
		}
		if managed || ours {
			break
		}
		level = next
	}
	return managed, ours
}
