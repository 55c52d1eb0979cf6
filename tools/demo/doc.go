// Command demo shows the whole of it on one machine without a screen: a
// virtual desktop, shadowd on it, and one page whose left half is the user and
// whose right half is the administrator.
//
//	make demo                  # then open the address that it prints
//	make demo ADDR=:9000       # for other machines' browsers too
//	make demo ONCE=1           # plays it with a headless Chromium and writes demo.png
//
// The right half is the product: the control API, the question in the session,
// the port that was granted, the view-only relay. The left half stands in for
// the user's screen, mouse and keyboard; it is an x11vnc that lets input
// through, which nothing but this demo does.
package main
