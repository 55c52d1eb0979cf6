package desktop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/BurntSushi/xgb/composite"
	"github.com/BurntSushi/xgb/shape"
	"github.com/BurntSushi/xgb/xproto"
	"github.com/BurntSushi/xgb/xtest"

	"vda.internal/shadow/internal/host/xconn"
)

// hostileArg makes this test program another X client, which does what no
// well-behaved one does. It is a process of its own because xgb's connections
// can't be ended.
const hostileArg = "__hostile-client"

// A client is such an X client.
type client struct {
	x      *xconn.Conn
	screen xproto.ScreenInfo
	name   string // of its windows
}

// hostileClient does one thing to the display of the environment. Its arguments are
// numbers, but for what is said.
func hostileClient(what string, args []string) error {
	x, err := xconn.Dial(os.Getenv("DISPLAY"), os.Getenv("XAUTHORITY"), 5*time.Second)
	if err != nil {
		return err
	}
	c := client{x, xproto.Setup(x.Conn).Roots[0], "cover"}
	if what == "keep spoiling" { // its arguments are a number, a way and a name
		return c.keepSpoiling(args[2], spoils[args[1]])
	}
	var n []int
	for _, a := range args {
		i, err := strconv.Atoi(a)
		if err != nil {
			return err
		}
		n = append(n, i)
	}
	if known, err := c.scenery(what); known {
		return err
	}
	if spoil := spoils[what]; spoil != nil {
		return spoil(c, xproto.Window(n[0]))
	}
	switch what {
	case "two managers":
		return c.twoManagers(xproto.Window(n[0]))
	case "cover":
		return c.cover(false, nil)
	case "fight":
		return c.cover(true, n[1:])
	case "veil":
		return c.veil()
	case "speck":
		return c.speck(n[1], n[2])
	case "shape":
		return c.shape(xproto.Window(n[0]), shape.Kind(n[1]))
	case "keep cutting":
		return c.keepCutting(xproto.Window(n[0]))
	case "reparent":
		return c.reparent(xproto.Window(n[0]))
	case "within":
		return c.within(xproto.Window(n[0]))
	case "grab":
		return c.grab()
	case "hold the pointer":
		return c.holdPointer()
	case "there and back":
		return c.thereAndBack(xproto.Window(n[0]), n[1], n[2], n[3], n[4])
	case "minimize", "show desktop", "unmap":
		return c.putAway(xproto.Window(n[0]), what)
	case "steal":
		return c.steal()
	case "flood":
		return c.flood(n[1])
	case "stubborn manager", "locking manager":
		return c.manageStubbornly(what == "locking manager")
	case "blind compositor":
		return c.compositeBlindly()
	case "compositor in name", "manager in name":
		return c.inName(what, n)
	case "settings manager":
		return c.manageSettings()
	case "compositor":
		return c.compositor()
	case "enlarge":
		return c.enlarge()
	case "send":
		return c.send(xproto.Window(n[0]), n[1:3], n[3], n[4], n[5])
	case "destroy":
		return xproto.DestroyWindowChecked(x.Conn, xproto.Window(n[0])).Check()
	case "ping":
		return c.ping(xproto.Window(n[0]))
	}
	return errors.New("what?")
}

// window makes a window of its own kind: green, and no window manager's business.
func (c client) window(parent xproto.Window, width, height uint16, events uint32) (xproto.Window, error) {
	id, err := xproto.NewWindowId(c.x.Conn)
	if err != nil {
		return 0, err
	}
	xproto.CreateWindow(c.x.Conn, c.screen.RootDepth, id, parent, 0, 0, width, height, 0,
		xproto.WindowClassInputOutput, c.screen.RootVisual, xproto.CwBackPixel|xproto.CwOverrideRedirect|xproto.CwEventMask, []uint32{0x00aa00, 1, events})
	c.named(id)
	return id, nil
}

// named gives a window its name.
func (c client) named(id xproto.Window) {
	name := c.name + "\x00" + c.name + "\x00"
	xproto.ChangeProperty(c.x.Conn, xproto.PropModeReplace, id, xproto.AtomWmClass, xproto.AtomString, 8, uint32(len(name)), []byte(name))
}

// cover lays a window over the whole screen, or over as much of its upper left corner as
// size says, and keeps it there. If it fights, it comes back up whenever it is covered.
func (c client) cover(fight bool, size []int) error {
	width, height := c.screen.WidthInPixels, c.screen.HeightInPixels
	if len(size) > 0 {
		width, height = uint16(size[0]), uint16(size[1])
	}
	id, err := c.window(c.screen.Root, width, height, xproto.EventMaskVisibilityChange)
	if err != nil {
		return err
	}
	if err := xproto.MapWindowChecked(c.x.Conn, id).Check(); err != nil {
		return err
	}
	for fight {
		ev, xerr := c.x.WaitForEvent()
		if xerr != nil {
			return fmt.Errorf("%v", xerr)
		}
		if v, ok := ev.(xproto.VisibilityNotifyEvent); ok && v.State != xproto.VisibilityUnobscured {
			xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowStackMode, []uint32{xproto.StackModeAbove})
		}
	}
	<-c.x.Gone()
	return nil
}

// veil covers the screen with a window that input passes, and keeps it on top.
func (c client) veil() error {
	if err := shape.Init(c.x.Conn); err != nil {
		return err
	}
	id, err := c.window(c.screen.Root, c.screen.WidthInPixels, c.screen.HeightInPixels, 0)
	if err != nil {
		return err
	}
	shape.Rectangles(c.x.Conn, shape.SoSet, shape.SkInput, 0, id, 0, 0, nil)
	if err := xproto.MapWindowChecked(c.x.Conn, id).Check(); err != nil {
		return err
	}
	for {
		select {
		case <-c.x.Gone():
			return nil
		case <-time.After(10 * time.Millisecond):
			xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowStackMode, []uint32{xproto.StackModeAbove})
		}
	}
}

// speck has a window of one pixel at a place, and keeps it on top.
func (c client) speck(x, y int) error {
	id, err := c.window(c.screen.Root, 1, 1, 0)
	if err != nil {
		return err
	}
	xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowX|xproto.ConfigWindowY, []uint32{uint32(x), uint32(y)})
	if err := xproto.MapWindowChecked(c.x.Conn, id).Check(); err != nil {
		return err
	}
	for {
		select {
		case <-c.x.Gone():
			return nil
		case <-time.After(10 * time.Millisecond):
			xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowStackMode, []uint32{xproto.StackModeAbove})
		}
	}
}

// shape leaves nothing of a window: of what is seen of it, or of what takes input.
func (c client) shape(of xproto.Window, kind shape.Kind) error {
	if err := shape.Init(c.x.Conn); err != nil {
		return err
	}
	return shape.RectanglesChecked(c.x.Conn, shape.SoSet, kind, 0, of, 0, 0, nil).Check()
}

// keepCutting leaves a window a corner, whatever becomes of that.
func (c client) keepCutting(of xproto.Window) error {
	if err := shape.Init(c.x.Conn); err != nil {
		return err
	}
	for {
		shape.Rectangles(c.x.Conn, shape.SoSet, shape.SkBounding, 0, of, 0, 0, []xproto.Rectangle{{Width: 9, Height: 9}})
		select {
		case <-c.x.Gone():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// reparent puts a window into another one, which isn't on the screen, until that window is no more.
func (c client) reparent(w xproto.Window) error {
	id, err := c.window(c.screen.Root, c.screen.WidthInPixels, c.screen.HeightInPixels, 0)
	if err != nil {
		return err
	}
	if err := xproto.ReparentWindowChecked(c.x.Conn, w, id, 0, 0).Check(); err != nil {
		return err
	}
	for {
		if _, err := xproto.GetGeometry(c.x.Conn, xproto.Drawable(w)).Reply(); err != nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// within covers a window with a child of it.
func (c client) within(of xproto.Window) error {
	id, err := c.window(of, 4000, 4000, 0)
	if err != nil {
		return err
	}
	xproto.MapWindow(c.x.Conn, id) // it may be destroyed before
	for {                          // until it is destroyed
		if _, err := xproto.GetGeometry(c.x.Conn, xproto.Drawable(id)).Reply(); err != nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// grab takes the keyboard for as long as this client lives.
func (c client) grab() error {
	r, err := xproto.GrabKeyboard(c.x.Conn, true, c.screen.Root, xproto.TimeCurrentTime, xproto.GrabModeAsync, xproto.GrabModeAsync).Reply()
	if err != nil {
		return err
	}
	if r.Status != xproto.GrabStatusSuccess {
		return fmt.Errorf("grabbing the keyboard: status %d", r.Status)
	}
	return nil
}

// holdPointer has a window below all others and takes the pointer for as long as this client
// lives.
func (c client) holdPointer() error {
	id, err := c.window(c.screen.Root, c.screen.WidthInPixels, c.screen.HeightInPixels, 0)
	if err != nil {
		return err
	}
	xproto.ConfigureWindow(c.x.Conn, id, xproto.ConfigWindowStackMode, []uint32{xproto.StackModeBelow})
	xproto.MapWindow(c.x.Conn, id)
	r, err := xproto.GrabPointer(c.x.Conn, false, id, 0, xproto.GrabModeAsync, xproto.GrabModeAsync, 0, 0, xproto.TimeCurrentTime).Reply()
	if err != nil {
		return err
	}
	if r.Status != xproto.GrabStatusSuccess {
		return fmt.Errorf("grabbing the pointer: status %d", r.Status)
	}
	<-c.x.Gone()
	return nil
}

// thereAndBack brings a window to a place, has the user click, and brings it back to where it
// was, before any other client can find out.
func (c client) thereAndBack(w xproto.Window, x, y, oldX, oldY int) error {
	if err := xtest.Init(c.x.Conn); err != nil {
		return err
	}
	move := func(x, y int) {
		xproto.ConfigureWindow(c.x.Conn, w, xproto.ConfigWindowX|xproto.ConfigWindowY, []uint32{uint32(x), uint32(y)})
	}
	xproto.GrabServer(c.x.Conn)
	move(x, y)
	for _, kind := range []byte{xproto.ButtonPress, xproto.ButtonRelease} {
		xtest.FakeInput(c.x.Conn, kind, 1, 0, c.screen.Root, 0, 0, 0)
	}
	move(oldX, oldY)
	return xproto.UngrabServerChecked(c.x.Conn).Check()
}

// putAway takes a window off the screen, or has the window manager do so (ICCCM 4.1.4; EWMH,
// _NET_SHOWING_DESKTOP), and returns when it is gone.
func (c client) putAway(w xproto.Window, how string) error {
	xproto.ChangeWindowAttributes(c.x.Conn, w, xproto.CwEventMask, []uint32{xproto.EventMaskStructureNotify})
	tell := func(about xproto.Window, name string, value uint32) error {
		atom, err := xproto.InternAtom(c.x.Conn, false, uint16(len(name)), name).Reply()
		if err != nil {
			return err
		}
		m := xproto.ClientMessageEvent{Format: 32, Window: about, Type: atom.Atom, Data: xproto.ClientMessageDataUnionData32New([]uint32{value, 0, 0, 0, 0})}
		return xproto.SendEventChecked(c.x.Conn, false, c.screen.Root,
			xproto.EventMaskSubstructureNotify|xproto.EventMaskSubstructureRedirect, string(m.Bytes())).Check()
	}
	var err error
	switch how {
	case "minimize":
		err = tell(w, "WM_CHANGE_STATE", 3) // IconicState
	case "show desktop":
		err = tell(c.screen.Root, "_NET_SHOWING_DESKTOP", 1)
	default:
		err = xproto.UnmapWindowChecked(c.x.Conn, w).Check()
	}
	for err == nil {
		ev, xerr := c.x.WaitForEvent()
		if xerr != nil {
			return fmt.Errorf("%v", xerr)
		}
		if _, ok := ev.(xproto.UnmapNotifyEvent); ok {
			return nil
		}
	}
	return err
}

// steal takes the keyboard for a window of its own, off the question.
func (c client) steal() error {
	id, err := c.window(c.screen.Root, 10, 10, 0)
	if err != nil {
		return err
	}
	xproto.MapWindow(c.x.Conn, id)
	// The window stays when this client has gone, and the focus with it.
	xproto.SetCloseDownMode(c.x.Conn, xproto.CloseDownRetainPermanent)
	return xproto.SetInputFocusChecked(c.x.Conn, xproto.InputFocusPointerRoot, id, xproto.TimeCurrentTime).Check()
}

// flood covers and uncovers the whole screen n times.
func (c client) flood(n int) error {
	id, err := c.window(c.screen.Root, c.screen.WidthInPixels, c.screen.HeightInPixels, 0)
	if err != nil {
		return err
	}
	for range n {
		xproto.MapWindow(c.x.Conn, id)
		xproto.UnmapWindow(c.x.Conn, id)
	}
	return xproto.DestroyWindowChecked(c.x.Conn, id).Check()
}

// compositeBlindly is a compositor that paints nothing.
func (c client) compositeBlindly() error {
	x := c.x.Conn
	if err := composite.Init(x); err != nil {
		return err
	}
	composite.QueryVersion(x, 0, 4)
	id, err := c.window(c.screen.Root, 1, 1, 0)
	if err != nil {
		return err
	}
	if err := composite.RedirectSubwindowsChecked(x, c.screen.Root, composite.RedirectManual).Check(); err != nil {
		return err
	}
	if err := xproto.SetSelectionOwnerChecked(x, id, c.atom("_NET_WM_CM_S0"), xproto.TimeCurrentTime).Check(); err != nil {
		return err
	}
	<-c.x.Gone()
	return nil
}

// inName is a compositor, or a window manager, that does nothing but say so: by a window of its own, or
// by another client's.
func (c client) inName(what string, windows []int) error {
	id, err := c.window(c.screen.Root, 1, 1, 0)
	if err != nil {
		return err
	}
	if what == "compositor in name" {
		err = xproto.SetSelectionOwnerChecked(c.x.Conn, id, c.atom("_NET_WM_CM_S0"), xproto.TimeCurrentTime).Check()
	} else {
		name := func(in, id xproto.Window) error {
			return xproto.ChangePropertyChecked(c.x.Conn, xproto.PropModeReplace, in, c.atom("_NET_SUPPORTING_WM_CHECK"), xproto.AtomWindow, 32, 1,
				binary.LittleEndian.AppendUint32(nil, uint32(id))).Check()
		}
		err = name(id, id)
		if len(windows) > 0 {
			id = xproto.Window(windows[0])
		}
		if err == nil {
			err = name(c.screen.Root, id)
		}
	}
	if err != nil {
		return err
	}
	<-c.x.Gone()
	return nil
}

// atom is the one with that name.
func (c client) atom(name string) xproto.Atom {
	r, err := xproto.InternAtom(c.x.Conn, false, uint16(len(name)), name).Reply()
	if err != nil {
		return 0
	}
	return r.Atom
}

// manageSettings says in XSETTINGS what Xfce's does at twice the size.
func (c client) manageSettings() error {
	x := c.x.Conn
	id, err := c.window(c.screen.Root, 1, 1, 0)
	if err != nil {
		return err
	}
	const name = "Gdk/WindowScalingFactor"
	settings := []byte{0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, byte(len(name)), 0}
	settings = append(append(settings, name...), 0, 1, 0, 0, 0, 2, 0, 0, 0)
	property := c.atom("_XSETTINGS_SETTINGS")
	xproto.ChangeProperty(x, xproto.PropModeReplace, id, property, property, 8, uint32(len(settings)), settings)
	if err := xproto.SetSelectionOwnerChecked(x, id, c.atom("_XSETTINGS_S0"), xproto.TimeCurrentTime).Check(); err != nil {
		return err
	}
	xproto.ChangeProperty(x, xproto.PropModeReplace, c.screen.Root, c.atom("_SETTINGS_ARE_THERE"), xproto.AtomString, 8, 3, []byte("yes"))
	<-c.x.Gone()
	return nil
}

// compositor says so if one runs.
func (c client) compositor() error {
	const name = "_NET_WM_CM_S0"
	atom, err := xproto.InternAtom(c.x.Conn, false, uint16(len(name)), name).Reply()
	if err != nil {
		return err
	}
	r, err := xproto.GetSelectionOwner(c.x.Conn, atom.Atom).Reply()
	if err == nil && r.Owner != 0 {
		fmt.Println("yes")
	}
	return err
}

// send sends a window input events of some kinds, for the same key or button at
// a place. They carry the server's time, so that only the mark of SendEvent
// tells them from real ones.
func (c client) send(to xproto.Window, kinds []int, detail, x, y int) error {
	at, err := c.now()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		e := xproto.KeyPressEvent{Detail: xproto.Keycode(detail), Time: at, Root: c.screen.Root, Event: to, EventX: int16(x), EventY: int16(y), SameScreen: true}
		event := e.Bytes()
		event[0] = byte(kind) // the four kinds of input have the same form
		if err := xproto.SendEventChecked(c.x.Conn, false, to, xproto.EventMaskNoEvent, string(event)).Check(); err != nil {
			return err
		}
	}
	return nil
}
