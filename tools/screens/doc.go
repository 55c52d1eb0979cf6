// Screens measures what shows an X display, side by side: source.X11 and x11vnc. It is the viewer:
// it asks as noVNC does, one update after the other.
//
//	go build -o bin/screens ./tools/screens
//	bin/screens -rounds 5 -doc docs/performance.md
//
//	bin/screens -desktops all -duration 6s
//
// Each round runs each peer once, on a fresh Xvfb of 1920x1080 with a terminal. CPU is that of the
// source's processes and of the X server, from their process clocks. Latency is from the request that
// fills a square to the last byte of an update that touches it. Linux; needs Debian's xvfb, xterm
// and x11vnc.
//
// With -desktops the peers are measured, one after the other, on XFCE, MATE, LXQt, Plasma, Cinnamon and GNOME, each with its
// panel, background and compositor on an Xvfb of 1280x800 with GLX in software: nothing but the desktop, a terminal
// whose text has sub-pixel anti-aliasing and scrolls 30 lines a second, the same in a full screen, and Chromium
// scrolling a page. A desktop that has painted nothing, or has no compositor, is an error. What the X server takes
// for the load alone isn't the peers'.
//
// With -sessions many sessions are watched at once, as root, by the whole product with its defaults, while nothing happens in them, or -load:
//
//	make build && go build -o bin/screens ./tools/screens
//	bin/screens -sessions 99 -duration 30s
//
// With -load something happens in each of them meanwhile: one session and typing show what shadowd takes for the relay.
package main
