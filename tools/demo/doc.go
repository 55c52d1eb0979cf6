// Command demo shows the whole of it on one machine without a screen: a
// virtual desktop, shadowd on it, shadowgate in front, and one page whose left half
// is the user and whose right half is the administrator's console.
//
//	make demo                  # then open the address that it prints
//	make demo ADDR=:9000       # for other machines' browsers too
//	make demo ONCE=1           # plays it with a headless Chromium and writes demo.png
//
// The right half is the product: shadowgate's own pages, signed in as the demo's
// administrator, the question in the session, the port that was granted, the
// view-only relay. The left half stands in for the user's screen, mouse and keyboard: the desktop's X server is TigerVNC's
// Xvnc, which shows itself to that half and takes its input. The product
// knows nothing of that and reads the display as any other.
package main
