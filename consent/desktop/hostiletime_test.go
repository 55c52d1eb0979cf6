package desktop

import (
	"fmt"

	"github.com/BurntSushi/xgb/xproto"
)

// now is the server's time, as a change to a property tells it.
func (c client) now() (xproto.Timestamp, error) {
	id, err := xproto.NewWindowId(c.x.Conn)
	if err != nil {
		return 0, err
	}
	xproto.CreateWindow(c.x.Conn, 0, id, c.screen.Root, 0, 0, 1, 1, 0, xproto.WindowClassInputOnly, 0, xproto.CwEventMask, []uint32{xproto.EventMaskPropertyChange})
	xproto.ChangeProperty(c.x.Conn, xproto.PropModeAppend, id, xproto.AtomWmName, xproto.AtomString, 8, 0, nil)
	for {
		ev, xerr := c.x.WaitForEvent()
		if xerr != nil {
			return 0, fmt.Errorf("%v", xerr)
		}
		if p, ok := ev.(xproto.PropertyNotifyEvent); ok {
			return p.Time, nil
		}
	}
}

// ping asks a window whether its program lives, as a window manager does, and
// returns when the answer is there.
func (c client) ping(w xproto.Window) error {
	var atoms [2]xproto.Atom
	for i, name := range []string{"WM_PROTOCOLS", "_NET_WM_PING"} {
		r, err := xproto.InternAtom(c.x.Conn, false, uint16(len(name)), name).Reply()
		if err != nil {
			return err
		}
		atoms[i] = r.Atom
	}
	xproto.ChangeWindowAttributes(c.x.Conn, c.screen.Root, xproto.CwEventMask, []uint32{xproto.EventMaskSubstructureNotify})
	const mark = 4711
	m := xproto.ClientMessageEvent{Format: 32, Window: w, Type: atoms[0],
		Data: xproto.ClientMessageDataUnionData32New([]uint32{uint32(atoms[1]), mark, uint32(w), 0, 0})}
	if err := xproto.SendEventChecked(c.x.Conn, false, w, xproto.EventMaskNoEvent, string(m.Bytes())).Check(); err != nil {
		return err
	}
	for {
		ev, xerr := c.x.WaitForEvent()
		if xerr != nil {
			return fmt.Errorf("%v", xerr)
		}
		if e, ok := ev.(xproto.ClientMessageEvent); ok && e.Window == c.screen.Root && e.Type == atoms[0] && e.Data.Data32[1] == mark {
			return nil
		}
	}
}
