// Package accessible shows a window to screen readers: it puts the window's parts on the accessibility
// bus of the session (AT-SPI 2), if there is one.
//
//	r := accessible.Start(ctx, func(ctx context.Context) (string, error) { return accessible.Address(ctx, session) })
//	defer r.Stop()
//	r.Show(accessible.Tree{Window: accessible.Node{Role: accessible.Dialog, Name: "…"}, Parts: …})
//
// Nothing here holds up whoever calls it: the bus is talked to by a goroutine of its own, and a bus that
// hangs, lies or goes away is a window that no screen reader sees.
//
// What a screen reader asks for is answered; what it wants done is only what takes the viewer's sight
// away (see [Node.Press]). A message on the bus may come from any program of the session, as an X client's
// SendEvent may, and like that it never counts as a Yes.
//
// See the D-Bus interfaces of at-spi2-core, org.a11y.atspi.*.
package accessible
