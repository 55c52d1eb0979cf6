// Package source has the places that a session's picture can come from, each a
// [shadow.Source]: [X11vnc] starts x11vnc(1) for one viewer, [Dial] connects to
// an RFB server that runs already.
package source
