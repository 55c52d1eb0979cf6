package dialog

import (
	"errors"
	"fmt"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/internal/host/xconn"
)

// ErrTaken is that another question is on the display, whoever asks it.
var ErrTaken = errors.New("another question is on the display")

// turnName is the selection whose owner is the question that the display has. A selection is
// the display's, whatever daemon, container or user asks, and ends with its owner's
// connection.
const turnName = "_SHADOWD_QUESTION"

// TakeTurn makes what x's owner asks, in whatever way, the display's question until x is closed, unless
// there is one already (ErrTaken). As with Ask it may never return when the X server goes away.
func TakeTurn(x *xconn.Conn) error { return takeTurn(x.Conn, xproto.Setup(x.Conn).Roots[0].Root) }

// takeTurn makes this the display's question, unless there is one. The server is grabbed in
// between, so that of two who ask at once one has it.
func takeTurn(c *xgb.Conn, root xproto.Window) error {
	atom, err := xproto.InternAtom(c, false, uint16(len(turnName)), turnName).Reply()
	if err != nil {
		return fmt.Errorf("the atom %s: %w", turnName, err)
	}
	id, err := xproto.NewWindowId(c)
	if err != nil {
		return err
	}
	err = xproto.CreateWindowChecked(c, 0, id, root, -1, -1, 1, 1, 0, xproto.WindowClassInputOnly, 0,
		xproto.CwOverrideRedirect, []uint32{1}).Check()
	if err != nil {
		return fmt.Errorf("creating the question's mark: %w", err)
	}
	xproto.GrabServer(c)
	defer xproto.UngrabServer(c)
	owner, err := xproto.GetSelectionOwner(c, atom.Atom).Reply()
	if err != nil {
		return fmt.Errorf("whose question the display has: %w", err)
	}
	if owner.Owner != 0 {
		return ErrTaken
	}
	if err := xproto.SetSelectionOwnerChecked(c, id, atom.Atom, xproto.TimeCurrentTime).Check(); err != nil {
		return fmt.Errorf("taking the display's question: %w", err)
	}
	return nil
}
