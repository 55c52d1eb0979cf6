package policy

import (
	"fmt"
	"regexp"

	"vda.internal/shadow/internal/named"
)

// pkg is the name of this package's errors.
const pkg = named.Package("policy")

// A Purpose says whether an administrator must give a reason, and which. With the zero Purpose
// reasons are optional, and any will do.
type Purpose struct {
	Mode    PurposeMode    // whether there must be a reason
	Pattern *regexp.Regexp // is to match in a reason, anywhere unless it says otherwise; nil: any reason will do
	Hint    string         // what an administrator is told whose reason is missing or doesn't match; empty: the pattern, if there is one
}

// A PurposeMode is what becomes of reasons.
type PurposeMode uint8

// The modes.
const (
	Optional PurposeMode = iota // a reason may be given, and is shown to the user
	Required                    // one must be given
	Hidden                      // one may be given and is recorded, but the user isn't shown it
)

// Check returns what is wrong with a reason, for the administrator, or nil. An empty one is none.
func (p Purpose) Check(reason string) error {
	if reason == "" && p.Mode != Required {
		return nil
	}
	if reason != "" && (p.Pattern == nil || p.Pattern.MatchString(reason)) {
		return nil
	}
	what := "this one doesn't fit"
	if reason == "" {
		what = "none was given"
	}
	hint := p.Hint
	if hint == "" && p.Pattern != nil {
		hint = fmt.Sprintf("it has to match %q", p.Pattern)
	}
	if hint == "" {
		return pkg.Errorf("%s", what)
	}
	return pkg.Errorf("%s: %s", what, hint)
}
