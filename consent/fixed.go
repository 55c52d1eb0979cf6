package consent

import "context"

// Deny refuses every request without asking anybody.
type Deny struct{}

// AsksNobody says that no user answers: nobody has said No.
func (Deny) AsksNobody() {}

// Ask returns Denied.
func (Deny) Ask(context.Context, Request) (Decision, error) { return Denied, nil }

// Allow grants every request WITHOUT ASKING ANYBODY.
//
// It is for unattended kiosks and signage, where no person's privacy is at stake. Never use it
// where people log in. A program that offers it as a setting should log each use.
type Allow struct{}

// AsksNobody marks the answer as not the user's.
func (Allow) AsksNobody() {}

// Ask returns Granted, or ctx's cause if ctx has ended.
func (Allow) Ask(ctx context.Context, _ Request) (Decision, error) {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return Granted, nil
}
