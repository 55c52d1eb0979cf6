package shadow

import (
	"context"
	"os"
)

// A Caller is the process that asks this host for something, as the host itself
// knows it, whatever it says of itself.
type Caller struct {
	UID  uint32 `json:"uid"`            // its effective user
	PID  int32  `json:"pid"`            // when it connected; it may have ended since
	User string `json:"user,omitempty"` // account name; empty: not known

	Gate string `json:"gate,omitempty"` // the fleet's gate that asks, by this host's own shadowd; empty: none does
}

// isService reports whether c asks for others, whom it has signed in: a gate, root, the account of this
// process, or one of the system's, below 1000, systemd's dynamic ones and nobody.
func (c *Caller) isService() bool {
	return c.Gate != "" || c.UID < 1000 || c.UID >= 61184 && c.UID <= 65535 || c.UID == uint32(os.Geteuid())
}

type callerKey struct{}

// WithCaller returns a context in which c is who asks. [Manager.Shadow] and
// [Manager.Stop] write it into the audit.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, &c)
}

// callerOf is who asks in ctx; nil: nobody has said.
func callerOf(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

type callerNameKey struct{}

// WithCallerName returns a context in which the caller's account name may become known only later: an end
// that somebody asks for waits for no name services. The audit's line about the end waits for name, which
// returns soon, and has the name that it returns, or none if that is empty.
func WithCallerName(ctx context.Context, name func() string) context.Context {
	return context.WithValue(ctx, callerNameKey{}, name)
}

// named is e.by with its name, if that is known by now.
func (e *End) named() *Caller {
	if e.by == nil || e.by.User != "" || e.byName == nil {
		return e.by
	}
	c := *e.by
	c.User = e.byName()
	return &c
}

// callerNameOf finds out the name of who asks in ctx; nil: nobody can.
func callerNameOf(ctx context.Context) func() string {
	name, _ := ctx.Value(callerNameKey{}).(func() string)
	return name
}
