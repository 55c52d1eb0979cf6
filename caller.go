package shadow

import "context"

// A Caller is the process that asks this host for something, as the host itself
// knows it, whatever it says of itself.
type Caller struct {
	UID  uint32 `json:"uid"`
	PID  int32  `json:"pid"`
	User string `json:"user,omitempty"` // account name; empty: not known
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
