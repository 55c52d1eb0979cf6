// Package testhost makes virtual desktops: an X server without a screen (Xvfb)
// that belongs to a user, wants a cookie and, if asked, has a window manager.
// Tests and the demo shadow them as they would a real session.
//
//	d, err := testhost.Start(ctx, testhost.Options{WindowManager: true})
//	if err != nil {
//		return err
//	}
//	defer d.Close()
//	if _, err := d.Spawn("xterm"); err != nil {
//		return err
//	}
//	w, err := d.FindWindow(ctx, "xterm")
//	if err != nil {
//		return err
//	}
//	err = d.Click(ctx, w.X+w.Width/2, w.Y+w.Height/2)
//
// Everything runs as the desktop's user, never as root unless that is asked
// for, so what works here works in a session whose daemon is somebody else.
// Display numbers come from the X server itself, so any number of desktops can
// run at once, in one process or in several.
//
// It needs Debian's xvfb, xdotool, xinput, x11-utils, x11-apps,
// x11-xserver-utils and openbox; a missing one is an error that names it.
package testhost
