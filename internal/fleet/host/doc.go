// Package host is a host's part in a fleet: one connection that it dials out, on which it says that it is
// there, answers what gates ask, and delivers its audit.
//
//	h, err := host.New(host.Config{Engine: manager, Credentials: credentials, Spool: spool})
//	h.Run(ctx)
//
// A gate's order is let in by a [fleet.Guard]; from there on it is what a call on the control socket is.
package host
