package dialog

import (
	"errors"
	"image"
	"slices"
	"time"

	"github.com/BurntSushi/xgb/shape"
	"github.com/BurntSushi/xgb/xproto"
)

// A Yes counts only if the user can have seen what the question is. Without a compositor
// the server says when another window covers this one (VisibilityNotify). With one it
// never does, because every window is drawn whole, off the screen: there it counts if no
// window that could show something lies above this one, but the one that the compositor
// draws on, or if the pointer has entered this one, which it can't through a window that
// takes input. So a desktop that lays a transparent window over everything doesn't make Yes
// impossible.
//
// Windows within this one cover it, too, and no event tells. They are somebody else's, and
// are destroyed.

const (
	lookTime = 250 * time.Millisecond // between two looks at what lies above the window
	maxDepth = 16                     // windows that this one may be nested in; a window manager uses two
	maxAbove = 256                    // windows above it that are looked at
)

// barred reports whether a Yes doesn't count, by what is known so far.
func (d *prompt) barred() bool {
	lately := time.Since(d.overlaidAt) < time.Duration(GuardTime)*time.Millisecond // it may come back any moment
	return d.away() || d.covered || lately && !d.inside
}

// counts reports whether it makes a difference for how long the window is in view.
func (d *prompt) counts() bool {
	q := d.view.question
	return q.Notice > 0 || q.Seen != nil && !d.told
}

// watchPixels learns whether the screen shows the window, if that makes a difference, and draws it again if it doesn't: other
// programs can draw on it, and make it transparent.
func (d *prompt) watchPixels() {
	if d.faded {
		d.faded = false
		d.opaque()
	}
	if !d.counts() || !d.exposed {
		return
	}
	if d.pixels = d.painted(d.view.img, d.at, nil, d.view.parts()); !d.pixels {
		xproto.ChangeWindowAttributes(d.x.Conn, d.id, xproto.CwBackPixmap, []uint32{uint32(d.picture)})
		xproto.ClearArea(d.x.Conn, false, d.id, 0, 0, 0, 0)
	}
}

// addSeen adds up how long the window was in view. Time counts
// while the screen shows the window, and nothing covers it but what takes no input, as a compositor may lay over everything,
// and never more than two ticks at once: what happened while this process was stopped, nobody knows.
func (d *prompt) addSeen(now time.Time) {
	if !d.counts() {
		return
	}
	since := now.Sub(d.seenAt)
	if d.seenAt.IsZero() {
		since = 0
	}
	d.seenAt = now
	if !d.pixels || !d.controls.drawn || !d.controls.clear || d.away() || d.covered || d.overlaid && d.hidden() {
		return
	}
	d.seen += min(since, 2*tickTime)
}

// seenEnough reports whether a notice was in view for as long as it must be.
func (d *prompt) seenEnough() bool {
	notice := d.view.question.Notice
	return notice > 0 && d.seen >= notice
}

// tellSeen reports, once, that a question was in view for long enough.
func (d *prompt) tellSeen() {
	if q := d.view.question; q.Seen != nil && !d.told && d.seen >= q.SeenAfter {
		d.told = true
		q.Seen()
	}
}

// mayAllow looks again and reports whether a Yes counts.
func (d *prompt) mayAllow() bool {
	d.look()
	return !d.barred() && d.controls.clear
}

// look finds out where the window is and what lies above it and within it.
func (d *prompt) look() {
	d.looked = time.Now()
	d.settle()
	d.readState()
	d.watchScreen()
	d.watchShape()
	d.watchPixels()
	within := d.children(d.id)
	if len(within) > 0 {
		xproto.DestroySubwindows(d.x.Conn, d.id)
	}
	d.overlaid = len(within) > 0 || d.composited() && d.anythingAbove()
	if d.overlaid {
		d.overlaidAt = time.Now()
	}
}

// lookAgain looks from time to time, and brings the window back into view if that is called for.
func (d *prompt) lookAgain() {
	if d.exposed && time.Since(d.looked) >= lookTime {
		d.look()
		d.watchManager()
		d.stayOnScreen()
		d.uncrop()
		d.wantKeyboard()
	}
	d.appear()
	d.comeBack()
	d.stayAbove()
}

// setCovered takes what the server says of the window's visibility. When the window comes
// into view Yes needs half a second again: see controls.uncovered.
func (d *prompt) setCovered(covered bool) {
	if d.covered && !covered {
		d.cover()
	}
	d.covered = covered
}

// compositor is the window of the compositor that runs (EWMH, _NET_WM_CM_Sn); 0 means none.
func (w *window) compositor() xproto.Window { return w.askCompositor()() }

// askCompositor asks for it, and returns what waits for the answer, which must be called.
func (w *window) askCompositor() func() xproto.Window {
	owner := xproto.GetSelectionOwner(w.x.Conn, w.painters)
	return func() xproto.Window {
		r, err := owner.Reply()
		if err != nil {
			return 0
		}
		return r.Owner
	}
}

// composited reports whether a compositor runs.
func (w *window) composited() bool { return w.compositor() != 0 }

// children are the windows directly within another, the lowest first.
func (w *window) children(of xproto.Window) []xproto.Window { return w.askChildren(of)() }

// askChildren asks for these, and returns what waits for the answer, which must be called.
func (w *window) askChildren(of xproto.Window) func() []xproto.Window {
	tree := xproto.QueryTree(w.x.Conn, of)
	return func() []xproto.Window {
		r, err := tree.Reply()
		if err != nil {
			return nil
		}
		return r.Children
	}
}

// anythingAbove reports whether a window that is on the screen and can show something
// overlaps this one from above. What can't be found out counts as yes.
func (w *window) anythingAbove() bool {
	above, err := w.above()
	return err != nil || len(above) > 0
}

// hidden reports whether something above the window covers it for the user: as the server
// says, or, if that can't tell, a window that takes input. A compositor may lay another that
// takes none over everything.
func (d *prompt) hidden() bool {
	own := image.Rectangle{Min: d.at, Max: d.at.Add(d.size)}
	if d.covered && !sticksOut(own, d.monitors()) { // what is off the screen counts as covered
		return true
	}
	return d.hides(own)
}

// hides reports whether a window above this one, which is at own, covers it for the user: one that takes
// input there.
func (w *window) hides(own image.Rectangle) bool {
	above, err := w.above()
	return errors.Is(err, errAbove) || err == nil && slices.ContainsFunc(above, func(v viewable) bool {
		return overlapsAny(own, w.shape(v, shape.SkBounding)) && overlapsAny(own, w.shape(v, shape.SkInput))
	})
}

// maxCovers are the parts of windows above this one that are looked at. More don't cover it.
const maxCovers = 256

// uncovered says of each pixel of this window, which is at own, row by row, whether no window above covers it for the user: one that
// takes input there. What can't be found out isn't covered.
func (w *window) uncovered(own image.Rectangle) []bool {
	visible := slices.Repeat([]bool{true}, own.Dx()*own.Dy())
	above, err := w.above()
	if err != nil {
		return visible
	}
	left := maxCovers
	for _, v := range above {
		input := w.shape(v, shape.SkInput)
		for _, part := range w.shape(v, shape.SkBounding) {
			for _, r := range input {
				if r = r.Intersect(part).Intersect(own); r.Empty() {
					continue
				}
				if left--; left < 0 {
					return visible
				}
				for y := r.Min.Y; y < r.Max.Y; y++ {
					row := visible[(y-own.Min.Y)*own.Dx():]
					for x := r.Min.X; x < r.Max.X; x++ {
						row[x-own.Min.X] = false
					}
				}
			}
		}
	}
	return visible
}

// isCanvas reports whether a window is the one that a compositor draws all others on, with
// nothing of its own in it.
func (w *window) isCanvas(id xproto.Window) bool { return w.isOverlay(id) && len(w.children(id)) == 0 }

// isOverlay reports whether a window is the one that the server has for compositors (COMPOSITE,
// CompositeGetOverlayWindow). No client can make one with such an id.
func (w *window) isOverlay(id xproto.Window) bool {
	return uint32(id)&^xproto.Setup(w.x.Conn).ResourceIdMask == 0
}

var errAbove = errors.New("too many windows, or they change too fast")

// above are the windows that are on the screen, can show something and overlap this one from
// above.
func (w *window) above() ([]viewable, error) {
	at, err := xproto.TranslateCoordinates(w.x.Conn, w.id, w.screen.Root, 0, 0).Reply()
	if err != nil {
		return nil, err
	}
	own := image.Rectangle{Max: w.size}.Add(image.Pt(int(at.DstX), int(at.DstY)))
	id := w.id
	var above []viewable
	for range maxDepth {
		tree, err := xproto.QueryTree(w.x.Conn, id).Reply()
		if err != nil {
			return nil, err
		}
		if tree.Parent == 0 {
			return above, nil // id is the root window
		}
		siblings := w.children(tree.Parent)
		i := slices.Index(siblings, id)
		if i < 0 || len(siblings)-i > maxAbove {
			return nil, errAbove
		}
		for _, v := range w.viewable(siblings[i+1:]) {
			if v.shows && v.area.Overlaps(own) && !w.isCanvas(v.id) {
				above = append(above, v)
			}
		}
		id = tree.Parent
	}
	return nil, errAbove
}

// A viewable is a window that is on the screen.
type viewable struct {
	id       xproto.Window
	area     image.Rectangle // with its border, on the root window
	inside   image.Point     // where that within its border begins
	shows    bool            // it can show something, not only take input
	override bool            // no window manager manages it
}

// viewable are those of windows that are on the screen.
func (w *window) viewable(windows []xproto.Window) []viewable {
	type cookies struct {
		attributes xproto.GetWindowAttributesCookie
		geometry   xproto.GetGeometryCookie
		place      xproto.TranslateCoordinatesCookie
	}
	asked := make([]cookies, len(windows))
	for i, id := range windows {
		asked[i] = cookies{
			xproto.GetWindowAttributes(w.x.Conn, id),
			xproto.GetGeometry(w.x.Conn, xproto.Drawable(id)),
			xproto.TranslateCoordinates(w.x.Conn, id, w.screen.Root, 0, 0),
		}
	}
	var found []viewable
	for i, c := range asked { // every reply is taken, or xgb would keep it
		a, err1 := c.attributes.Reply()
		g, err2 := c.geometry.Reply()
		p, err3 := c.place.Reply()
		if err1 != nil || err2 != nil || err3 != nil || a.MapState != xproto.MapStateViewable {
			continue // it has gone, or can't be seen
		}
		// The place is that of the inside, which the border is around.
		border, inside := int(g.BorderWidth), image.Pt(int(p.DstX), int(p.DstY))
		area := image.Rect(-border, -border, int(g.Width)+border, int(g.Height)+border).Add(inside)
		found = append(found, viewable{windows[i], area, inside, a.Class == xproto.WindowClassInputOutput, a.OverrideRedirect})
	}
	return found
}
