package testhost

import (
	"context"
	"fmt"
	"strconv"
)

// Pointer is where the pointer is, in pixels from the upper left corner.
func (d *Desktop) Pointer(ctx context.Context) (x, y int, err error) {
	out, err := d.Run(ctx, "xdotool", "getmouselocation")
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(string(out), "x:%d y:%d ", &x, &y); err != nil {
		return 0, 0, fmt.Errorf("xdotool says %q: %w", out, err)
	}
	return x, y, nil
}

// Move puts the pointer to a place on the screen, in pixels. An [InputLog]
// doesn't see that (it is a WarpPointer, no device's motion); [Desktop.Pointer]
// does.
func (d *Desktop) Move(ctx context.Context, x, y int) error {
	_, err := d.Run(ctx, "xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y))
	return err
}

// Click puts the pointer to a place on the screen and presses and releases its
// first button there, as a mouse does (XTEST).
func (d *Desktop) Click(ctx context.Context, x, y int) error {
	_, err := d.Run(ctx, "xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "click", "1")
	return err
}

// Key presses and releases keys one after the other (XTEST), each named by its X
// keysym: "Tab", "Return", "Escape", "ctrl+v".
func (d *Desktop) Key(ctx context.Context, keys ...string) error {
	_, err := d.Run(ctx, "xdotool", append([]string{"key", "--clearmodifiers"}, keys...)...)
	return err
}

// Type types text (XTEST) into the window that has the focus.
func (d *Desktop) Type(ctx context.Context, text string) error {
	_, err := d.Run(ctx, "xdotool", "type", "--clearmodifiers", "--", text)
	return err
}
