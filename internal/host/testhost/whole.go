package testhost

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strings"
	"time"
)

// A Whole is a desktop as people have it: a window manager, and with most a background and a panel.
type Whole struct {
	Program string // whose absence is the desktop's
	Package string // of Debian, which has that
	Shell   string // what starts it, for a shell with a session bus
	Bare    bool   // it has neither a background nor a panel
	Docked  bool   // it has a panel that says so (EWMH, _NET_WM_WINDOW_TYPE_DOCK)
	Silent  bool   // its window manager doesn't say that it is there
	Begins  string // a key that ends what it begins with; empty: nothing
}

// Wholes are Debian 12's desktops by name. What they draw with OpenGL is drawn in software.
var Wholes = map[string]Whole{
	"xfce": {Program: "xfdesktop", Package: "xfdesktop4", Docked: true,
		Shell: "xfsettingsd & xfwm4 --compositor=on --vblank=off & xfce4-panel & exec xfdesktop"},
	"mate": {Program: "mate-session", Package: "mate-session-manager", Docked: true, Shell: "exec mate-session"},
	"lxqt": {Program: "startlxqt", Package: "lxqt-session", Docked: true, // which would ask for a window manager
		Shell: `mkdir -p "$HOME/.config/lxqt"; printf "[General]\nwindow_manager=xfwm4\n" > "$HOME/.config/lxqt/session.conf"; exec startlxqt`},
	"plasma": {Program: "plasmashell", Package: "plasma-desktop", Docked: true,
		Shell: "export XDG_CURRENT_DESKTOP=KDE KDE_FULL_SESSION=true KDE_SESSION_VERSION=5 QT_QUICK_BACKEND=software; kwin_x11 & exec plasmashell"},
	"cinnamon": {Program: "cinnamon", Package: "cinnamon", // its background comes from a session that wants systemd
		Shell: `hsetroot -add "#2b5d6b" -add "#7fb069" -gradient 20; DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS exec cinnamon`},
	"gnome": {Program: "gnome-shell", Package: "gnome-shell", Begins: "Escape", // which begins with its overview
		Shell: "DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS exec gnome-shell --x11"},
	"i3": {Program: "i3", Package: "i3-wm", Docked: true,
		Shell: `printf "font pango:monospace 8\n" > "$HOME/i3.conf"; exec i3 -c "$HOME/i3.conf"`},
	"awesome": {Program: "awesome", Package: "awesome", Docked: true, Shell: "exec awesome"},
	"fluxbox": {Program: "fluxbox", Package: "fluxbox", Shell: "exec fluxbox"},
	"xmonad":  {Program: "xmonad", Package: "xmonad", Silent: true, Shell: "xclock & xeyes & exec xmonad"}, // nothing else shows that it is there
}

// bus runs a command of a shell with a session bus and nothing of the user's.
const bus = `export XDG_RUNTIME_DIR="$HOME" GSETTINGS_BACKEND=memory LIBGL_ALWAYS_SOFTWARE=1 NO_AT_BRIDGE=1; exec dbus-run-session -- sh -c "$1"`

// Furnish starts w on the desktop and waits until it has painted, and is still. Its user has no other
// programs. The X server needs its extensions GLX, RANDR and COMPOSITE.
func (d *Desktop) Furnish(ctx context.Context, w Whole) error {
	p, err := d.Spawn("sh", "-c", bus, "sh", w.Shell)
	if err != nil {
		return err
	}
	if err := Until(ctx, w.Program+"'s window manager, and panel", func() (bool, error) {
		select {
		case <-p.Done():
			return false, fmt.Errorf("%s ended: exit code %d", w.Program, p.ExitCode())
		default:
		}
		out, err := d.Run(ctx, "xprop", "-root", "_NET_SUPPORTING_WM_CHECK")
		return err == nil && (w.Silent || strings.Contains(string(out), "window id")) && (!w.Docked || d.docked(ctx)), nil
	}); err != nil {
		return err
	}
	if err := d.Settle(ctx, !w.Bare); err != nil || w.Begins == "" {
		return err
	}
	for range 2 { // under load the first may come too early
		if err := d.Key(ctx, w.Begins); err != nil {
			return err
		}
		if err := d.Settle(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// docked reports whether a panel is on the screen.
func (d *Desktop) docked(ctx context.Context) bool {
	tree, err := d.Run(ctx, "xwininfo", "-root", "-tree")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(tree)) {
		id, _, named := strings.Cut(strings.TrimSpace(line), " ")
		if !named || !strings.HasPrefix(id, "0x") {
			continue
		}
		kind, err := d.Run(ctx, "xprop", "-id", id, "_NET_WM_WINDOW_TYPE")
		if err != nil || !strings.Contains(string(kind), "_DOCK") {
			continue
		}
		if seen, err := d.Run(ctx, "xwininfo", "-id", id); err == nil && strings.Contains(string(seen), "IsViewable") {
			return true
		}
	}
	return false
}

// Settle waits until the screen has stayed much the same for three seconds, or a minute has passed: a
// desktop goes on for a while after its window manager is there. If painted, it must have more than one colour
// by then, for which it has until ctx ends.
func (d *Desktop) Settle(ctx context.Context, painted bool) error {
	var last *image.RGBA
	for begun, same := time.Now(), 0; same < 3 && (time.Since(begun) < time.Minute || painted && Uniform(last)); {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			if painted && Uniform(last) {
				return errors.New("the desktop has painted nothing")
			}
			return fmt.Errorf("waiting for a still screen: %w", context.Cause(ctx))
		}
		img, err := d.Screenshot(ctx)
		if err != nil {
			continue
		}
		if same++; last == nil || painted && Uniform(img) || differ(img, last) > 500 {
			same = 0
		}
		last = img
	}
	return nil
}

// differ is how many pixels of two screens differ, all if their sizes do.
func differ(a, b *image.RGBA) (n int) {
	if a.Rect != b.Rect {
		return len(a.Pix) / 4
	}
	for i := 0; i < len(a.Pix); i += 4 {
		if [3]byte(a.Pix[i:]) != [3]byte(b.Pix[i:]) {
			n++
		}
	}
	return n
}

// Uniform reports whether a screen is all of one colour, as one on which nothing was painted is. So
// is nil.
func Uniform(img *image.RGBA) bool {
	for i := 0; img != nil && i < len(img.Pix); i += 4 {
		if [3]byte(img.Pix[i:]) != [3]byte(img.Pix) {
			return false
		}
	}
	return true
}
