package dialog

import (
	"encoding/binary"
	"image"

	"github.com/BurntSushi/xgb/xinerama"
	"github.com/BurntSushi/xgb/xproto"
)

// get32 and put32 convert property values: ours is a little-endian connection.
func get32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func put32(values []uint32) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// monitor is the part of the root window that one monitor shows: the one with
// the pointer, else the first, else all. It also returns which mouse buttons
// are down.
func (w *window) monitor() (image.Rectangle, uint16) {
	var pointer image.Point
	var buttons uint16
	if p, err := xproto.QueryPointer(w.x.Conn, w.screen.Root).Reply(); err == nil {
		if p.SameScreen {
			pointer = image.Pt(int(p.RootX), int(p.RootY))
		}
		buttons = p.Mask & mouseButtons
	}
	return choose(w.monitors(), pointer), buttons
}

// monitors are the parts of the root window that one monitor each shows; all of it if the
// server doesn't say. There is always one.
func (w *window) monitors() []image.Rectangle { return w.askMonitors()() }

// askMonitors asks for these, and returns what waits for the answer, which must be called.
func (w *window) askMonitors() func() []image.Rectangle {
	geometry := xproto.GetGeometry(w.x.Conn, xproto.Drawable(w.screen.Root))
	several := w.hasXinerama && w.x.DefaultScreen == 0 // it says nothing of other X screens
	var screens xinerama.QueryScreensCookie
	if several {
		screens = xinerama.QueryScreens(w.x.Conn)
	}
	return func() []image.Rectangle {
		all := image.Rect(0, 0, int(w.screen.WidthInPixels), int(w.screen.HeightInPixels))
		if g, err := geometry.Reply(); err == nil {
			all = image.Rect(0, 0, int(g.Width), int(g.Height)) // it may have changed meanwhile
		}
		var monitors []image.Rectangle
		if several {
			if r, err := screens.Reply(); err == nil {
				monitors = within(r.ScreenInfo, all)
			}
		}
		if len(monitors) == 0 {
			return []image.Rectangle{all}
		}
		return monitors
	}
}

// within are the parts of all that these screens show.
func within(screens []xinerama.ScreenInfo, all image.Rectangle) (monitors []image.Rectangle) {
	for _, s := range screens {
		at := image.Pt(int(s.XOrg), int(s.YOrg))
		m := image.Rectangle{Min: at, Max: at.Add(image.Pt(int(s.Width), int(s.Height)))}.Intersect(all)
		if !m.Empty() {
			monitors = append(monitors, m)
		}
	}
	return monitors
}

// below is the first row of a monitor below the panels at its upper edge: those of which the window
// manager says so (EWMH, _NET_WORKAREA, on the first virtual desktop), or, as awesome and i3 don't, which say so
// themselves (_NET_WM_STRUT_PARTIAL).
func (w *window) below(monitor image.Rectangle) int {
	top := monitor.Min.Y
	r, err := xproto.GetProperty(w.x.Conn, false, w.screen.Root, w.atoms["_NET_WORKAREA"], xproto.AtomCardinal, 0, 4).Reply()
	if err == nil && r.Format == 32 && len(r.Value) >= 16 {
		at := image.Pt(int(int32(get32(r.Value))), int(int32(get32(r.Value[4:]))))
		work := image.Rectangle{Min: at, Max: at.Add(image.Pt(int(get32(r.Value[8:])), int(get32(r.Value[12:]))))}
		if work.Overlaps(monitor) {
			top = max(top, work.Min.Y)
		}
	} else {
		top = max(top, w.struts(monitor))
	}
	if top-monitor.Min.Y >= monitor.Dy()/4 {
		return monitor.Min.Y // that is no panel
	}
	return top
}

// struts is how far the panels at the upper edge of the root window, above a monitor, come down.
func (w *window) struts(monitor image.Rectangle) (down int) {
	windows := w.children(w.screen.Root)
	for _, id := range windows[:min(len(windows), maxAbove)] {
		windows = append(windows, w.children(id)...) // which a window manager may have given a frame
	}
	cookies := make([]xproto.GetPropertyCookie, min(len(windows), maxAbove))
	for i := range cookies {
		cookies[i] = xproto.GetProperty(w.x.Conn, false, windows[i], w.atoms["_NET_WM_STRUT_PARTIAL"], xproto.AtomCardinal, 0, 12)
	}
	for _, c := range cookies { // every reply is taken, or xgb would keep it
		r, err := c.Reply()
		if err != nil || r.Format != 32 || len(r.Value) < 48 {
			continue
		}
		top, from, to := int(get32(r.Value[8:])), int(get32(r.Value[32:])), int(get32(r.Value[36:]))
		if whole := to == 0; whole || from < monitor.Max.X && to >= monitor.Min.X {
			down = max(down, top)
		}
	}
	return down
}

// choose picks the monitor that p is on, else the first.
func choose(monitors []image.Rectangle, p image.Point) image.Rectangle {
	for _, m := range monitors {
		if p.In(m) {
			return m
		}
	}
	return monitors[0]
}

// nearest is the monitor that shows most of r, else the first.
func nearest(monitors []image.Rectangle, r image.Rectangle) image.Rectangle {
	best, most := monitors[0], 0
	for _, m := range monitors {
		if part := m.Intersect(r).Size(); part.X*part.Y > most {
			best, most = m, part.X*part.Y
		}
	}
	return best
}

// sticksOut reports whether a part of r lies in none of areas.
func sticksOut(r image.Rectangle, areas []image.Rectangle) bool {
	if r.Empty() {
		return false
	}
	for i, a := range areas {
		in := r.Intersect(a)
		if in.Empty() {
			continue
		}
		for _, rest := range [...]image.Rectangle{
			{Min: r.Min, Max: image.Pt(r.Max.X, in.Min.Y)},
			{Min: image.Pt(r.Min.X, in.Max.Y), Max: r.Max},
			{Min: image.Pt(r.Min.X, in.Min.Y), Max: image.Pt(in.Min.X, in.Max.Y)},
			{Min: image.Pt(in.Max.X, in.Min.Y), Max: image.Pt(r.Max.X, in.Max.Y)},
		} {
			if sticksOut(rest, areas[i+1:]) {
				return true
			}
		}
		return false
	}
	return true
}

// moveInto is r moved as little as brings it into m. Of what is too large the upper left
// corner is in.
func moveInto(r, m image.Rectangle) image.Rectangle {
	r = r.Add(image.Pt(min(0, m.Max.X-r.Max.X), min(0, m.Max.Y-r.Max.Y)))
	return r.Add(image.Pt(max(0, m.Min.X-r.Min.X), max(0, m.Min.Y-r.Min.Y)))
}

// centre is where a picture stands in the middle of a monitor. It doesn't begin
// beyond the upper left corner.
func centre(size image.Point, monitor image.Rectangle) image.Point {
	free := monitor.Size().Sub(size)
	return monitor.Min.Add(image.Pt(max(0, free.X/2), max(0, free.Y/2)))
}
