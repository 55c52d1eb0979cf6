// Package source has the places that a session's picture can come from, each a
// [shadow.Source]: [X11] reads the display itself, [X11vnc] starts x11vnc(1) for
// one viewer, [Auto] is the first of them that can, and [Dial] connects to
// an RFB server that runs already.
//
// X11's other half, which reads the display in a process of its own, is package
// source/capture.
package source
