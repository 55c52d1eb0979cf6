package testhost

import (
	"context"
	"errors"
	"strconv"
)

// A Window is a window on the screen. X and Y are its upper left corner on the
// screen, without the window manager's frame, in pixels.
type Window struct {
	ID                  uint32
	X, Y, Width, Height int
}

// Center is the window's middle, a place to click.
func (w Window) Center() (x, y int) { return w.X + w.Width/2, w.Y + w.Height/2 }

// FindWindow waits until a window whose WM_CLASS instance is name can be seen,
// and says where it is. ctx bounds the wait.
func (d *Desktop) FindWindow(ctx context.Context, name string) (Window, error) {
	var found Window
	err := Until(ctx, "a window "+strconv.Quote(name), func() (bool, error) {
		ws, err := d.Windows(ctx, name)
		if err != nil || len(ws) == 0 {
			return false, err
		}
		found = ws[0]
		return true, nil
	})
	return found, err
}

// WaitNoWindow waits until no window whose WM_CLASS instance is name can be
// seen. ctx bounds the wait.
func (d *Desktop) WaitNoWindow(ctx context.Context, name string) error {
	return Until(ctx, "no window "+strconv.Quote(name), func() (bool, error) {
		ws, err := d.Windows(ctx, name)
		return err == nil && len(ws) == 0, err
	})
}

// Windows lists the windows that can be seen now and whose WM_CLASS instance is
// name, those in front first.
func (d *Desktop) Windows(ctx context.Context, name string) ([]Window, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.named(nil, c.root, name)
}

// named appends the windows below parent that have that instance and can be seen. One that
// goes away meanwhile is none.
func (c *xclient) named(ws []Window, parent uint32, name string) ([]Window, error) {
	ids, err := c.children(parent)
	if gone(err) {
		return ws, nil
	}
	if err != nil {
		return nil, err
	}
	for i := len(ids) - 1; i >= 0; i-- {
		instance, err := c.instance(ids[i])
		if err == nil && instance == name {
			w, visible, whereErr := c.window(ids[i])
			if err = whereErr; err == nil && visible {
				ws = append(ws, w)
			}
		}
		if err != nil && !gone(err) {
			return nil, err
		}
		if ws, err = c.named(ws, ids[i], name); err != nil {
			return nil, err
		}
	}
	return ws, nil
}

// gone reports whether err says that there is no such window, or no longer.
func gone(err error) bool {
	const badWindow, badDrawable = 3, 9
	e, ok := errors.AsType[xError](err)
	return ok && (e == badWindow || e == badDrawable)
}
