// Package capture shows an X display to one viewer: it is an RFB server (RFC
// 6143) that reads the screen and is told nothing. No code of this package, or of what it imports,
// could inject input: a viewer's keys, pointer and clipboard are read over. The program around it may have
// such code, as shadowd has for its question. A process that was taken over keeps its connection to the display; it can
// open no file, connect to nothing and start nothing.
//
// It runs as a process of its own, as the session's user, on one end of a socket
// pair:
//
//	shadowd capture --display :1 --xauthority /home/alice/.Xauthority
//
// A program that starts itself for this, as source.X11 does by default, calls
// [Child] first thing in main.
//
// What has changed is learned from DAMAGE, fetched through shared memory, and
// compared with what the viewer has in tiles of 64 pixels; what has moved up or
// down is sent as CopyRect. Nothing is looked at, and nothing sent, that the viewer
// hasn't asked for. Parts that were sent as JPEG are sent again without loss when
// they have been still for a second. The user's pointer is painted into the
// picture, or sent beside it to viewers that know PointerPos.
//
// One monitor alone is shown if it is named; while there is none of that name, the whole screen is, which
// viewers with DesktopName are told, and standard error: "now shown: …".
//
// Memory: four bytes for each pixel of the part that is shown, 16 MiB shared with
// the X server at most, and an update; 35 MB or so for 1920x1080, 1.1 GB for
// 16384x16384, which is the most that is shown. To a viewer that doesn't know LastRect an update
// goes whole, and takes its size besides.
package capture
