package dialog

import (
	"context"
	"image"
	"time"

	"github.com/BurntSushi/xgb/screensaver"
	"github.com/BurntSushi/xgb/xproto"
)

const (
	lockTime  = time.Second            // that a keyboard must stay grabbed
	lockPause = 100 * time.Millisecond // between two attempts to grab it
)

// locked reports whether there is nobody to ask: the screen saver is on, or the keyboard
// stays with somebody else's window that covers the whole screen and that no window
// manager manages, which is what programs that lock the screen have in common. An open
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

// veiled reports whether a window that no window manager manages covers the whole screen.
func (w *window) veiled() bool {
	for _, id := range w.children(w.screen.Root) {
		a, err := xproto.GetWindowAttributes(w.x.Conn, id).Reply()
		if err != nil || !a.OverrideRedirect || a.MapState != xproto.MapStateViewable {
			continue
		}
		g, err := xproto.GetGeometry(w.x.Conn, xproto.Drawable(id)).Reply()
		if err != nil {
			continue
		}
		area := image.Rect(0, 0, int(g.Width), int(g.Height)).Add(image.Pt(int(g.X), int(g.Y)))
		if image.Rect(0, 0, int(w.screen.WidthInPixels), int(w.screen.HeightInPixels)).In(area) {
			return true
		}
	}
	return false
}
