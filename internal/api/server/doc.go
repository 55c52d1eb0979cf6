// Package server answers the control API that package api describes.
//
// Who may ask is decided by the credentials that the kernel reports for the
// other end of the connection: root, the daemon's own user, and the members of
// one group. A program with a *shadow.Manager as its engine:
//
//	ln, err := server.Listen("/run/shadowd/control.sock", "shadow-admins")
//	if err != nil {
//		return err
//	}
//	return server.Serve(ctx, ln, server.NewHandler(manager, server.Options{}))
package server
