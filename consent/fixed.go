package consent

import "context"

// Deny refuses every request without asking anybody.
type Deny struct{}

// Ask returns Denied.
func (Deny) Ask(context.Context, Request) (Decision, error) { return Denied, nil }

// Allow grants every request WITHOUT ASKING ANYBODY.
//
// It is for unattended kiosks and signage, where the session has no person in
// it whose privacy could be at stake. Never use it where somebody logs on. Whoever offers
// it as a setting should log each use.
type Allow struct{}

// Ask returns Granted, unless ctx has ended.
func (Allow) Ask(ctx context.Context, _ Request) (Decision, error) {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return Granted, nil
}
