package dialog

import (
	"fmt"
	"image"
	"os"
	"strings"

	"github.com/BurntSushi/xgb/damage"
	"github.com/BurntSushi/xgb/dpms"
	"github.com/BurntSushi/xgb/screensaver"
	"github.com/BurntSushi/xgb/shape"
	"github.com/BurntSushi/xgb/xinerama"
	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/internal/host/xconn"
)

// A kind is what sort of window it is, for window managers and for people.
type kind struct {
	instance string   // of WM_CLASS; the class is always className
	types    string   // its _NET_WM_WINDOW_TYPE
	input    uint32   // 1 if it wants the keyboard
	urgent   uint32   // urgencyHint or 0
	state    []string // its _NET_WM_STATE
	alert    bool     // it is told of what happens around and within it
}

const (
	className   = "shadowd" // of WM_CLASS
	urgencyHint = 256       // of WM_HINTS
)

// The two kinds.
var (
	questionKind = kind{"consent", "_NET_WM_WINDOW_TYPE_DIALOG", 1, urgencyHint,
		[]string{"_NET_WM_STATE_MODAL", "_NET_WM_STATE_ABOVE", "_NET_WM_STATE_STICKY", "_NET_WM_STATE_DEMANDS_ATTENTION"}, false}
	bannerKind = kind{"banner", "_NET_WM_WINDOW_TYPE_NOTIFICATION", 0, 0,
		[]string{"_NET_WM_STATE_ABOVE", "_NET_WM_STATE_STICKY", "_NET_WM_STATE_SKIP_TASKBAR"}, true}
)

// A window is the dialog or the banner on the screen. Its picture is the window's background,
// kept by the server, which repaints from it whatever happens here.
type window struct {
	x       *xconn.Conn
	screen  *xproto.ScreenInfo
	format  format
	most    int // bytes of a request
	atoms   map[string]xproto.Atom
	id      xproto.Window
	picture xproto.Pixmap
	pixels  []byte // of the picture, as the display wants them; nil: not known
	gc      xproto.Gcontext
	managed bool // by a window manager

	painters xproto.Atom // the selection that the screen's compositor owns

	hasShape, hasSaver, hasDPMS, hasXinerama, hasDamage bool // the server has the extension

	drawing  damage.Damage // what the server notes of who draws on the window; 0: nothing
	alert    bool          // the server tells of what happens around the window: see alert.go
	hears    uint32        // what the root window tells of
	followed xproto.Window // that names the window manager, and tells of itself

	size image.Point
	kind kind
}

// atomNames are the atoms that the window uses besides the predefined ones.
var atomNames = [...]string{
	"UTF8_STRING", "WM_STATE", "WM_PROTOCOLS", "WM_DELETE_WINDOW",
	"_NET_SUPPORTING_WM_CHECK", "_NET_ACTIVE_WINDOW", "_NET_WM_NAME", "_NET_WM_PID", "_NET_WM_PING",
	"_NET_WM_WINDOW_TYPE", "_NET_WM_WINDOW_TYPE_DIALOG", "_NET_WM_WINDOW_TYPE_NOTIFICATION", "_NET_WORKAREA", "_NET_WM_STRUT_PARTIAL",
	"_NET_WM_STATE", "_NET_WM_STATE_MODAL", "_NET_WM_STATE_ABOVE", "_NET_WM_STATE_STICKY",
	"_NET_WM_STATE_SKIP_TASKBAR", "_NET_WM_STATE_DEMANDS_ATTENTION", "_NET_WM_STATE_HIDDEN", "_NET_WM_STATE_SHADED",
	"_NET_WM_ICON", "_KDE_NET_WM_DESKTOP_FILE", "_GTK_APPLICATION_ID", bannerMark,
	"_NET_WM_DESKTOP", "_NET_FRAME_EXTENTS", "_MOTIF_WM_HINTS", shownMark,
	opacityMark, terminalMark,
}

// shownMark is a property of the window that is written to learn the server's
// time once the window has been drawn.
const shownMark = "_SHADOWD_SHOWN"

// newWindow finds out about the display. open makes the window.
func newWindow(x *xconn.Conn, k kind) (*window, error) {
	setup := xproto.Setup(x.Conn)
	if x.DefaultScreen >= len(setup.Roots) {
		return nil, fmt.Errorf("the display has %d screens, and no screen .%d", len(setup.Roots), x.DefaultScreen)
	}
	w := &window{x: x, kind: k, screen: &setup.Roots[x.DefaultScreen], atoms: map[string]xproto.Atom{}}
	w.most = min(4*int(setup.MaximumRequestLength), 4*0xffff)
	// Init writes maps that xgb reads with each event, so it is done before any can come.
	w.hasShape, w.hasSaver = shape.Init(x.Conn) == nil, screensaver.Init(x.Conn) == nil
	w.hasDPMS, w.hasXinerama = dpms.Init(x.Conn) == nil, xinerama.Init(x.Conn) == nil
	w.alert = k.alert && w.alerts()
	var err error
	if w.format, err = formatOf(setup, w.screen); err != nil {
		return nil, err
	}
	var cookies [len(atomNames)]xproto.InternAtomCookie
	for i, name := range atomNames {
		cookies[i] = xproto.InternAtom(x.Conn, false, uint16(len(name)), name)
	}
	for i, name := range atomNames {
		r, err := cookies[i].Reply()
		if err != nil {
			return nil, fmt.Errorf("the atom %s: %w", name, err)
		}
		w.atoms[name] = r.Atom
	}
	compositor := fmt.Sprintf("_NET_WM_CM_S%d", x.DefaultScreen)
	r, err := xproto.InternAtom(x.Conn, false, uint16(len(compositor)), compositor).Reply()
	if err != nil {
		return nil, fmt.Errorf("the atom %s: %w", compositor, err)
	}
	w.painters = r.Atom
	// Its size, and who manages windows: see changes.
	xproto.ChangeWindowAttributes(x.Conn, w.screen.Root, xproto.CwEventMask, []uint32{xproto.EventMaskStructureNotify})
	w.managed = w.manager() != 0
	return w, nil
}

// manager is the own window of the window manager, if one runs that follows the EWMH: the root
// window names it, and it must name itself. 0 means none.
func (w *window) manager() xproto.Window { return w.askManager()() }

// askManager asks for it, and returns what waits for the answer, which must be called.
func (w *window) askManager() func() xproto.Window {
	ask := func(of xproto.Window) xproto.GetPropertyCookie {
		return xproto.GetProperty(w.x.Conn, false, of, w.atoms["_NET_SUPPORTING_WM_CHECK"], xproto.AtomWindow, 0, 1)
	}
	answer := func(c xproto.GetPropertyCookie) xproto.Window {
		r, err := c.Reply()
		if err != nil || r.Format != 32 || len(r.Value) < 4 {
			return 0
		}
		return xproto.Window(get32(r.Value))
	}
	root := ask(w.screen.Root)
	return func() xproto.Window {
		id := answer(root)
		if id == 0 {
			return 0
		}
		w.follow(id)
		if answer(ask(id)) != id {
			w.followed = 0 // it wasn't there
			return 0
		}
		return id
	}
}

// allDesktops is a _NET_WM_DESKTOP: the window is on every virtual desktop.
const allDesktops = 0xffffffff

const eventMask = xproto.EventMaskExposure | xproto.EventMaskStructureNotify | xproto.EventMaskVisibilityChange |
	xproto.EventMaskPropertyChange | xproto.EventMaskFocusChange |
	xproto.EventMaskKeyPress | xproto.EventMaskKeyRelease |
	xproto.EventMaskButtonPress | xproto.EventMaskButtonRelease |
	xproto.EventMaskPointerMotion | xproto.EventMaskEnterWindow | xproto.EventMaskLeaveWindow

// open makes the window with a picture for its inside at a place on the root
// window and puts it on the screen. Without a window manager it is one that
// doesn't need any.
func (w *window) open(img *image.RGBA, at image.Point, title string) error {
	if err := w.draw(img); err != nil {
		return err
	}
	return w.create(at, title)
}

// create makes the window for the picture that there is.
func (w *window) create(at image.Point, title string) error {
	c := w.x.Conn
	id, err := xproto.NewWindowId(c)
	if err != nil {
		return err
	}
	w.id = id
	override, events := uint32(1), uint32(eventMask)
	if w.managed {
		override = 0
	}
	if w.kind.alert {
		events |= xproto.EventMaskSubstructureNotify
	}
	err = xproto.CreateWindowChecked(c, w.format.depth, id, w.screen.Root, int16(at.X), int16(at.Y), uint16(w.size.X), uint16(w.size.Y), 0,
		xproto.WindowClassInputOutput, w.screen.RootVisual,
		xproto.CwBackPixmap|xproto.CwOverrideRedirect|xproto.CwEventMask,
		[]uint32{uint32(w.picture), override, events}).Check()
	if err != nil {
		return fmt.Errorf("creating the window: %w", err)
	}
	if w.kind.alert && w.hasShape {
		shape.SelectInput(c, id, true)
	}
	w.noteDrawing()
	w.setProperties(title, at)
	if err := xproto.MapWindowChecked(c, id).Check(); err != nil {
		return fmt.Errorf("showing the window: %w", err)
	}
	w.raise()
	return nil
}

// draw makes a picture for the window on the server.
func (w *window) draw(img *image.RGBA) error {
	c := w.x.Conn
	w.size = img.Rect.Size()
	pixmap, err := xproto.NewPixmapId(c)
	if err != nil {
		return err
	}
	gc, err := xproto.NewGcontextId(c)
	if err != nil {
		return err
	}
	err = xproto.CreatePixmapChecked(c, w.format.depth, pixmap, xproto.Drawable(w.screen.Root), uint16(w.size.X), uint16(w.size.Y)).Check()
	if err != nil {
		return fmt.Errorf("creating the picture: %w", err)
	}
	if err := xproto.CreateGCChecked(c, gc, xproto.Drawable(pixmap), 0, nil).Check(); err != nil {
		return fmt.Errorf("creating the picture: %w", err)
	}
	w.picture, w.gc = pixmap, gc
	return w.upload(img, img.Rect)
}

// redraw is draw in place of the picture that there is.
func (w *window) redraw(img *image.RGBA) error {
	xproto.FreeGC(w.x.Conn, w.gc)
	xproto.FreePixmap(w.x.Conn, w.picture)
	return w.draw(img)
}

// replace gives the window another picture, and its size.
func (w *window) replace(img *image.RGBA) error {
	c := w.x.Conn
	if err := w.redraw(img); err != nil {
		return err
	}
	xproto.ChangeWindowAttributes(c, w.id, xproto.CwBackPixmap, []uint32{uint32(w.picture)})
	xproto.ConfigureWindow(c, w.id, xproto.ConfigWindowWidth|xproto.ConfigWindowHeight, []uint32{uint32(w.size.X), uint32(w.size.Y)})
	xproto.ClearArea(c, false, w.id, 0, 0, 0, 0)
	return nil
}

// setProperties tells the window manager what the window is (ICCCM 4.1, EWMH).
func (w *window) setProperties(title string, at image.Point) {
	w.setText(xproto.AtomWmName, xproto.AtomString, latin1(title))
	w.setText(w.atoms["_NET_WM_NAME"], w.atoms["UTF8_STRING"], title)
	w.setText(xproto.AtomWmClass, xproto.AtomString, w.kind.instance+"\x00"+className+"\x00")
	if host, err := os.Hostname(); err == nil {
		// A process id means something only beside the name of its machine.
		w.setText(xproto.AtomWmClientMachine, xproto.AtomString, host)
		w.set32(w.atoms["_NET_WM_PID"], xproto.AtomCardinal, uint32(os.Getpid()))
	}
	w.setAtoms("WM_PROTOCOLS", "WM_DELETE_WINDOW", "_NET_WM_PING")
	w.setAtoms("_NET_WM_WINDOW_TYPE", w.kind.types)
	w.setAtoms("_NET_WM_STATE", w.kind.state...)
	w.set32(w.atoms["_NET_WM_DESKTOP"], xproto.AtomCardinal, allDesktops)
	w.set32(w.atoms["_NET_WM_ICON"], xproto.AtomCardinal, icon(16, 32, 48)...)
	w.setText(w.atoms["_KDE_NET_WM_DESKTOP_FILE"], w.atoms["UTF8_STRING"], className)
	w.setText(w.atoms["_GTK_APPLICATION_ID"], w.atoms["UTF8_STRING"], className)

	// To be moved and closed, but neither resized nor hidden (Motif's MwmUtil.h).
	const (
		mwmFunctions, mwmDecorations = 1, 2
		mwmMove, mwmClose            = 4, 32
		mwmBorder, mwmTitle, mwmMenu = 2, 8, 16
	)
	w.set32(w.atoms["_MOTIF_WM_HINTS"], w.atoms["_MOTIF_WM_HINTS"],
		mwmFunctions|mwmDecorations, mwmMove|mwmClose, mwmBorder|mwmTitle|mwmMenu, 0, 0)

	const inputHint = 1
	w.set32(xproto.AtomWmHints, xproto.AtomWmHints, inputHint|w.kind.urgent, w.kind.input, 0, 0, 0, 0, 0, 0, 0)
	w.setSizeHints(at)
}

// setSizeHints tells the window manager where the window is to be, and that its size is
// neither larger nor smaller than it is (ICCCM 4.1.2.3).
func (w *window) setSizeHints(at image.Point) {
	const usPosition, pPosition, pSize, pMin, pMax, gravity = 1, 4, 8, 16, 32, 512
	x, y, width, height := uint32(at.X), uint32(at.Y), uint32(w.size.X), uint32(w.size.Y)
	w.set32(xproto.AtomWmNormalHints, xproto.AtomWmSizeHints, usPosition|pPosition|pSize|pMin|pMax|gravity,
		x, y, width, height, width, height, width, height, 0, 0, 0, 0, 0, 0, 0, 0, xproto.GravityStatic)
}

func (w *window) setText(name, kind xproto.Atom, s string) {
	xproto.ChangeProperty(w.x.Conn, xproto.PropModeReplace, w.id, name, kind, 8, uint32(len(s)), []byte(s))
}

func (w *window) set32(name, kind xproto.Atom, values ...uint32) {
	xproto.ChangeProperty(w.x.Conn, xproto.PropModeReplace, w.id, name, kind, 32, uint32(len(values)), put32(values))
}

func (w *window) setAtoms(name string, values ...string) {
	var ids []uint32
	for _, v := range values {
		ids = append(ids, uint32(w.atoms[v]))
	}
	w.set32(w.atoms[name], xproto.AtomAtom, ids...)
}

// upload brings a part of the picture to the server. It is seen when the window
// is drawn next; see repaint.
func (w *window) upload(img *image.RGBA, r image.Rectangle) error {
	w.pixels = nil
	parts := w.format.strips(r, w.most)
	if parts == nil {
		return fmt.Errorf("a row of %d pixels is more than the display takes", r.Dx())
	}
	for _, p := range parts {
		xproto.PutImage(w.x.Conn, xproto.ImageFormatZPixmap, xproto.Drawable(w.picture), w.gc,
			uint16(p.Dx()), uint16(p.Dy()), int16(p.Min.X), int16(p.Min.Y), 0, w.format.depth, w.format.encode(img, p))
	}
	return nil
}

// repaint shows changed parts of the picture.
func (w *window) repaint(img *image.RGBA, parts []image.Rectangle) error {
	for _, r := range parts {
		r = r.Intersect(img.Rect)
		if err := w.upload(img, r); err != nil {
			return err
		}
		xproto.ClearArea(w.x.Conn, false, w.id, int16(r.Min.X), int16(r.Min.Y), uint16(r.Dx()), uint16(r.Dy()))
	}
	return nil
}

// raise puts the window above the others. With a window manager it is a wish.
func (w *window) raise() {
	xproto.ConfigureWindow(w.x.Conn, w.id, xproto.ConfigWindowStackMode, []uint32{xproto.StackModeAbove})
}

// takeFocus gives the window the keyboard. It is for when no window manager does.
func (w *window) takeFocus() {
	xproto.SetInputFocus(w.x.Conn, xproto.InputFocusPointerRoot, w.id, xproto.TimeCurrentTime)
}

// ring sounds the display's bell, as loud as the user has it.
func (w *window) ring() { xproto.Bell(w.x.Conn, 0) }

// markShown makes the server tell its time, in a PropertyNotify of shownMark,
// once it has done everything before.
func (w *window) markShown() {
	xproto.ChangeProperty(w.x.Conn, xproto.PropModeAppend, w.id, w.atoms[shownMark], xproto.AtomString, 8, 0, nil)
}

// pong answers a window manager that asks whether the window's program still
// lives (EWMH, _NET_WM_PING): the message goes back to the root window.
func (w *window) pong(m xproto.ClientMessageEvent) {
	m.Window = w.screen.Root
	xproto.SendEvent(w.x.Conn, false, w.screen.Root,
		xproto.EventMaskSubstructureNotify|xproto.EventMaskSubstructureRedirect, string(m.Bytes()))
}

// latin1 is s for properties of type STRING; what that can't hold becomes "?".
func latin1(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xff {
			r = '?'
		}
		b.WriteByte(byte(r))
	}
	return b.String()
}
