package policy

import (
	"fmt"
	"strings"
)

// A Problem is a rule that can't be meant as it stands.
type Problem struct {
	Rule int    // its number, from 1
	Key  string // the list or value that it is about; empty: all of it
	Text string // what is wrong, in words
}

// Check finds rules that can never match, and what has no effect. It finds no more than it can be
// sure of: that a rule isn't among them doesn't mean that a request for it can come.
func (rules Rules) Check() []Problem {
	var all []Problem
	for i := range rules {
		problem := func(key, format string, args ...any) {
			all = append(all, Problem{i + 1, key, fmt.Sprintf(format, args...)})
		}
		rule := &rules[i]
		for _, l := range rule.lists() {
			for _, p := range l.patterns {
				if strings.TrimSpace(p) == "" {
					problem(l.name, "an empty pattern matches nothing; leave the list out to match everything")
				}
			}
		}
		if rule.Unanswered && rule.Answer != Ask {
			problem("unanswered", "has no effect: with answer = %q nobody is asked", rule.Answer)
		}
		if rule.Locked && rule.Answer == Deny {
			problem("locked", `has no effect: answer = "deny" refuses whether the screen is locked or not`)
		}
		for j := range i {
			if rules[j].covers(rule) {
				problem("", "can never match: rule %d, which comes first, matches whatever it does", j+1)
				break
			}
		}
	}
	return all
}

// covers reports whether rule certainly matches whatever other does.
func (rule *Rule) covers(other *Rule) bool {
	theirs := other.lists()
	for i, l := range rule.lists() {
		if len(l.patterns) == 0 {
			continue
		}
		if len(theirs[i].patterns) == 0 {
			return false
		}
		for _, p := range theirs[i].patterns {
			if !coversAny(l.patterns, p) {
				return false
			}
		}
	}
	return true
}
