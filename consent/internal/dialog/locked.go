package dialog

import (
	"context"
	"image"
	"slices"
	"time"

	"github.com/BurntSushi/xgb/screensaver"
	"github.com/BurntSushi/xgb/xproto"
)

const (
	lockTime  = time.Second            // that a keyboard must stay grabbed
	lockPause = 100 * time.Millisecond // between two attempts to grab it
)

// locked reports whether there is nobody to ask: the screen saver is on, or the keyboard
// stays with somebody else while windows that no window manager manages cover every
// monitor, which is what programs that lock the screen have in common. An open
// menu has the keyboard, too, and a virtual machine's window covers the screen, too.
//
// Nothing is left grabbed.
func (w *window) locked(ctx context.Context) bool {
	if w.saverOn() {
		return true
	}
	for until := time.Now().Add(lockTime); w.veiled() && w.keyboardTaken(); {
		if time.Now().After(until) {
			return true
		}
		select {
		case <-ctx.Done():
			return false // which says more than locked
		case <-time.After(lockPause):
		}
	}
	return false
}

// lockedMeanwhile looks once in lockTime whether the screen has been locked since the window
// came: whether the screen saver is on, or the keyboard was taken as in locked both
// this time and the last.
func (d *prompt) lockedMeanwhile() bool {
	if !d.exposed || time.Since(d.lockLooked) < lockTime {
		return false
	}
	d.lockLooked = time.Now()
	before := d.seized
	d.seized = d.veiled() && d.keyboardTaken()
	return before && d.seized || d.saverOn()
}

// saverOn reports whether the server's screen saver is active (MIT-SCREEN-SAVER).
func (w *window) saverOn() bool {
	if screensaver.Init(w.x.Conn) != nil {
		return false
	}
	r, err := screensaver.QueryInfo(w.x.Conn, xproto.Drawable(w.screen.Root)).Reply()
	return err == nil && r.State == screensaver.StateOn
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

// veiled reports whether windows of others that no window manager manages cover every
// monitor. There may be one for each.
func (w *window) veiled() bool {
	others := slices.DeleteFunc(w.children(w.screen.Root), func(id xproto.Window) bool { return id == w.id })
	var areas []image.Rectangle
	for _, v := range w.viewable(others[max(0, len(others)-maxAbove):]) { // the uppermost
		if v.override {
			areas = append(areas, v.area)
		}
	}
	return !slices.ContainsFunc(w.monitors(), func(m image.Rectangle) bool { return sticksOut(m, areas) })
}
