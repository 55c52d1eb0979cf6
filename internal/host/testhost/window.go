package testhost

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
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
// name.
func (d *Desktop) Windows(ctx context.Context, name string) ([]Window, error) {
	out, err := d.windowTree(ctx)
	if err != nil {
		return nil, err
	}
	var ws []Window
	for _, id := range windowIDs(string(out), name) {
		info, err := d.Run(ctx, "xwininfo", "-id", "0x"+strconv.FormatUint(uint64(id), 16))
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			continue // it went away between the two questions
		}
		w, visible, err := parseWindow(string(info))
		if err != nil {
			return nil, err
		}
		if w.ID = id; visible {
			ws = append(ws, w)
		}
	}
	return ws, nil
}

// windowTree is the output of xwininfo -tree, which fails if a window goes away
// while it looks.
func (d *Desktop) windowTree(ctx context.Context) (out []byte, err error) {
	for range 20 {
		out, err = d.Run(ctx, "xwininfo", "-root", "-tree")
		if err == nil || !strings.Contains(err.Error(), "Bad Window") {
			break
		}
	}
	return out, err
}

// treeLine is a line of xwininfo -tree: the id, the title, and the WM_CLASS.
var treeLine = regexp.MustCompile(`(?m)^ +(0x[0-9a-f]+) .*: \("([^"]*)" "[^"]*"\) `)

// windowIDs finds the windows of an instance name in the output of xwininfo -tree.
func windowIDs(tree, name string) []uint32 {
	var ids []uint32
	for _, m := range treeLine.FindAllStringSubmatch(tree, -1) {
		if m[2] != name {
			continue
		}
		if id, err := strconv.ParseUint(m[1], 0, 32); err == nil {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

// parseWindow reads the output of xwininfo -id.
func parseWindow(info string) (w Window, visible bool, err error) {
	fields := map[string]*int{
		"Absolute upper-left X": &w.X, "Absolute upper-left Y": &w.Y, "Width": &w.Width, "Height": &w.Height,
	}
	seen := 0
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		if key == "Map State" {
			visible = value == "IsViewable"
		}
		p := fields[key]
		if p == nil {
			continue
		}
		if *p, err = strconv.Atoi(value); err != nil {
			return Window{}, false, fmt.Errorf("testhost: xwininfo says %q: %w", line, err)
		}
		seen++
	}
	if seen != len(fields) {
		return Window{}, false, fmt.Errorf("testhost: xwininfo doesn't say where the window is: %q", info)
	}
	return w, visible, nil
}
