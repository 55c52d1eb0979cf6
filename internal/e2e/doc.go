// Package e2e tests the whole product on real parts: the shadowd binary, Xvfb
// with a window manager, x11vnc, and noVNC in headless Chromium. It has no code
// of its own to import.
package e2e
