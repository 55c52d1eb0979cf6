// Package source captures the screen of a session. Each type is a [shadow.Source]: [X11] reads the
// display itself, [X11vnc] starts x11vnc(1) for each viewer, [Auto] uses the first of these that
// works, and [Dial] connects to a running RFB server.
//
// Package source/capture is the part of X11 that runs in a process of its own and reads the
// display.
package source
