package dialog

import (
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/damage"
	"github.com/BurntSushi/xgb/randr"
	"github.com/BurntSushi/xgb/shape"
	"github.com/BurntSushi/xgb/xfixes"
	"github.com/BurntSushi/xgb/xproto"
)

// What a banner looks at hardly ever changes, so the X server is to tell when it may have. An event is no
// more than a reason to look: what there is, look asks. So one too many costs a look, and of those there are
// four a second at most, whatever anybody does. All that look finds has its event:
//
//   - monitors: RandR's for the screen, and ConfigureNotify of the root window;
//   - windows within the banner's: what happens to its children;
//   - the compositor: XFIXES' for the selection that it owns;
//   - the window manager: the property of the root window, and the end of the window that it names;
//   - windows above: VisibilityNotify; with a compositor, what happens to the root window's children;
//   - the banner's own window, which any program can move, shrink, hide or cut: what happens to it, and SHAPE's for its outline;
//   - what is drawn on it, by whomever: DAMAGE's, where there is that;
//   - what a compositor is told of it: its properties.
//
// That a compositor shows something else has no event. The look for no reason finds it.
//
// A server without RandR or XFIXES tells too little, and is asked all the time. So is any while
// something isn't as it should be, for how that goes on no event says.

// RareTime is after how much time without a reason a banner looks all the same. It is there for what
// has no event, and for what nobody has thought of, and a variable for the tests of what tells.
var RareTime = 8 * time.Second

// rootMask is what the root window always tells of.
const rootMask = xproto.EventMaskStructureNotify

// alerts reports whether the server can tell of all that look finds, and gets its extensions ready for it.
func (w *window) alerts() bool {
	if randr.Init(w.x.Conn) != nil || xfixes.Init(w.x.Conn) != nil {
		return false
	}
	screens, selections := randr.QueryVersion(w.x.Conn, 1, 2), xfixes.QueryVersion(w.x.Conn, 1, 0)
	_, err1 := screens.Reply()
	_, err2 := selections.Reply()
	if err1 != nil || err2 != nil {
		return false
	}
	if damage.Init(w.x.Conn) == nil {
		_, err := damage.QueryVersion(w.x.Conn, 1, 1).Reply()
		w.hasDamage = err == nil
	}
	return true
}

// noteDrawing has the server note who draws on the window, which is this program, too.
func (w *window) noteDrawing() {
	w.drawing = 0
	if !w.hasDamage {
		return
	}
	if id, err := damage.NewDamageId(w.x.Conn); err == nil {
		w.drawing = id
		damage.Create(w.x.Conn, id, xproto.Drawable(w.id), damage.ReportLevelNonEmpty)
	}
}

// hearDrawing has the server tell when something is drawn on the window from now on, once.
func (w *window) hearDrawing() {
	if w.drawing != 0 {
		damage.Subtract(w.x.Conn, w.drawing, 0, 0)
	}
}

// attend has the server tell of what is selected once and for all. It comes before all that is asked.
func (w *window) attend() {
	if !w.alert {
		return
	}
	randr.SelectInput(w.x.Conn, w.screen.Root, randr.NotifyMaskScreenChange)
	xfixes.SelectSelectionInput(w.x.Conn, w.screen.Root, w.painters,
		xfixes.SelectionEventMaskSetSelectionOwner|xfixes.SelectionEventMaskSelectionWindowDestroy|xfixes.SelectionEventMaskSelectionClientClose)
}

// hear has the root window tell of its properties, and of the windows in it if a compositor draws them.
func (w *window) hear(composited bool) {
	mask := uint32(rootMask | xproto.EventMaskPropertyChange)
	if composited {
		mask |= xproto.EventMaskSubstructureNotify
	}
	w.listen(mask)
}

// listen has the root window tell of that.
func (w *window) listen(mask uint32) {
	if w.alert && mask != w.hears {
		w.hears = mask
		xproto.ChangeWindowAttributes(w.x.Conn, w.screen.Root, xproto.CwEventMask, []uint32{mask})
	}
}

// follow has the window that names the window manager tell of its end and its properties. Anybody may
// have named one of this program's, or the root window, which tell of other things.
func (w *window) follow(id xproto.Window) {
	setup := xproto.Setup(w.x.Conn)
	ours := uint32(id)&^setup.ResourceIdMask == setup.ResourceIdBase
	if !w.alert || id == w.followed || ours || id == w.screen.Root {
		return
	}
	w.followed = id
	xproto.ChangeWindowAttributes(w.x.Conn, id, xproto.CwEventMask, []uint32{xproto.EventMaskStructureNotify | xproto.EventMaskPropertyChange})
}

// heed takes an event that may be a reason to look. The next ones of the root window would say no more
// than that until the banner has looked.
func (b *banner) heed(ev xgb.Event) {
	switch e := ev.(type) {
	case randr.ScreenChangeNotifyEvent, xfixes.SelectionNotifyEvent, xproto.ConfigureNotifyEvent, xproto.CreateNotifyEvent,
		xproto.MapNotifyEvent, xproto.UnmapNotifyEvent, xproto.CirculateNotifyEvent, xproto.GravityNotifyEvent, xproto.VisibilityNotifyEvent,
		shape.NotifyEvent:
	case damage.NotifyEvent:
		b.stirred = time.Now()
	case xproto.ReparentNotifyEvent:
		if e.Window == b.id {
			b.strayed = e.Parent != b.screen.Root // where windows above it tell nothing
		}
	case xproto.DestroyNotifyEvent:
		if e.Window == b.followed {
			b.followed = 0 // another may have its number
		}
	case xproto.PropertyNotifyEvent:
		if e.Window != b.id && e.Atom != b.atoms["_NET_SUPPORTING_WM_CHECK"] {
			return
		}
		if e.Window == b.id {
			b.stirred = time.Now()
		}
		b.faded = b.faded || b.isFading(e)
	default:
		return
	}
	b.due = true
	b.listen(rootMask)
}

// settled reports whether nothing is there to be looked at but what the server tells of.
func (b *banner) settled() bool {
	counting := !b.notice.Until.IsZero() && !b.over
	unseen := !b.unseen.IsZero() && !b.over
	shows := b.painter != 0 && time.Since(b.stirred) < paintTime // a compositor may show only later what was done
	return b.alert && !shows && !b.strayed && !b.covered && !b.below && b.raiseAfter == raiseTime && !unseen && !counting
}

// tend does what is due.
func (b *banner) tend() error {
	pause := RareTime
	if b.due || !b.settled() {
		pause = lookTime
	}
	if time.Since(b.looked) >= pause {
		if err := b.countDown(); err != nil {
			return err
		}
		if err := b.look(); err != nil {
			return err
		}
	}
	b.live()
	return nil
}

// rest is how long there is nothing to tend. A look for no reason waits for the next sign of life.
func (b *banner) rest() time.Duration {
	left := time.Until(b.lived.Add(aliveTime))
	if b.due || !b.settled() {
		left = min(left, time.Until(b.looked.Add(lookTime)))
	}
	return max(0, left)
}

// live gives a sign of life if it is time for one. One who can't reach the X server gives
// none: Stop would not be heard.
func (b *banner) live() {
	if time.Since(b.lived) < aliveTime {
		return
	}
	_, err := xproto.GetInputFocus(b.x.Conn).Reply()
	b.lived = time.Now()
	if b.drawn && err == nil {
		b.report.Alive()
	}
}
