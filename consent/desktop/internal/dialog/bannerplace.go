package dialog

import (
	"image"
	"slices"

	"github.com/BurntSushi/xgb/xproto"
)

// topCentre is the place on a monitor where a banner covers least: in the middle of its
// upper edge, below a panel there.
func topCentre(size image.Point, monitor image.Rectangle, top int) image.Point {
	return image.Pt(monitor.Min.X+max(0, (monitor.Dx()-size.X)/2), top)
}

// bannerMark is a property of the root window with where the user has moved the banner to: the
// middle of its upper edge. The next banner of the session comes there.
const bannerMark = "_SHADOWD_BANNER_AT"

// mark notes where the banner is.
func (b *banner) mark() {
	xproto.ChangeProperty(b.x.Conn, xproto.PropModeReplace, b.screen.Root, b.atoms[bannerMark], xproto.AtomCardinal, 32, 2,
		put32([]uint32{uint32(b.at.X + b.size.X/2), uint32(b.at.Y)}))
}

// marked is where the user has moved a banner to, if that has happened.
func (w *window) marked() (image.Point, bool) {
	r, err := xproto.GetProperty(w.x.Conn, false, w.screen.Root, w.atoms[bannerMark], xproto.AtomCardinal, 0, 2).Reply()
	if err != nil || r.Format != 32 || len(r.Value) < 8 {
		return image.Point{}, false
	}
	return image.Pt(int(int32(get32(r.Value))), int(int32(get32(r.Value[4:])))), true
}

// onto is the place nearest to at where all of the banner is on a monitor. Of one that is too large for that,
// Stop is.
func (b *banner) onto(at image.Point, monitors []image.Rectangle) image.Point {
	r := b.view.img.Rect.Add(at)
	if !sticksOut(r, monitors) {
		return at
	}
	monitor := nearest(monitors, r)
	at = moveInto(r, monitor).Min
	stop := b.view.stop.Add(at)
	return at.Add(moveInto(stop, monitor).Min.Sub(stop.Min))
}

// place puts the banner somewhere, but never off the screen.
func (b *banner) place(at image.Point) { b.placeOn(at, b.monitors()) }

func (b *banner) placeOn(at image.Point, monitors []image.Rectangle) {
	if at = b.onto(at, monitors); at == b.at {
		return
	}
	b.at = at
	xproto.ConfigureWindow(b.x.Conn, b.id, xproto.ConfigWindowX|xproto.ConfigWindowY, []uint32{uint32(at.X), uint32(at.Y)})
}

// askPlace asks how the window is put up, and returns what waits for the answers, which must be called: whether all of it is
// where the banner has put it, on the screen, and takes input. Whoever has done something else to it is another program. What
// can't be found out counts as yes: the window has gone, and an event will say so.
func (b *banner) askPlace() func() bool {
	c, want := b.x.Conn, image.Rectangle{Max: b.size}.Add(b.at)
	attributes, geometry := xproto.GetWindowAttributes(c, b.id), xproto.GetGeometry(c, xproto.Drawable(b.id))
	place := xproto.TranslateCoordinates(c, b.id, b.screen.Root, 0, 0)
	uncut := b.askUncut()
	return func() bool {
		a, err1 := attributes.Reply()
		g, err2 := geometry.Reply()
		p, err3 := place.Reply()
		whole := uncut()
		if err1 != nil || err2 != nil || err3 != nil {
			return true
		}
		is := image.Rect(0, 0, int(g.Width), int(g.Height)).Add(image.Pt(int(p.DstX), int(p.DstY)))
		return whole && is == want && a.MapState == xproto.MapStateViewable
	}
}

// layout draws the picture for a monitor of a size.
func (b *banner) layout(room image.Point) {
	b.room = room
	if b.over {
		b.view = fitEnd(b.notice, b.why, b.lib, b.largest, room)
	} else {
		b.view = fitBanner(b.notice, b.lib, b.largest, room)
	}
}

// under is the monitor where the banner is.
func (b *banner) under() image.Rectangle {
	return nearest(b.screens, image.Rectangle{Max: b.size}.Add(b.at))
}

// refit draws the picture anew when the screen has changed, or the mouse has brought the banner to a
// monitor of another size.
func (b *banner) refit(monitors []image.Rectangle) error {
	largest, changed := b.largest, !slices.Equal(monitors, b.screens)
	if !changed && !b.dragged {
		return nil
	}
	b.screens, b.dragged = monitors, false
	if changed {
		b.largest = b.scale()
	}
	room := b.under().Size()
	if room == b.room && b.largest == largest {
		return nil
	}
	old := b.size
	b.layout(room)
	return b.swap(old)
}
