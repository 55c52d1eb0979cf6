package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Problem is a rule that can't be meant as it stands.
type Problem struct {
	Rule int    // its number, from 1
	Key  string // the list or value that it is about; empty: all of it
	Text string // what is wrong, in words
}

// Check finds rules that can never match, and what has no effect. It finds no more than it can be
// sure of: that a rule isn't among them doesn't mean that a request for it can come. It takes every
// request to have an administrator, a user and a session.
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
		switch by := rules[:i].cover(rule); len(by) {
		case 0:
		case 1:
			problem("", "can never match: rule %d, which comes first, matches whatever it does", by[0]+1)
		default:
			problem("", "can never match: the rules %s, which come first, match whatever it does", numbers(by))
		}
	}
	return all
}

// maxBoxes bounds the combinations of one rule's patterns that are looked at.
const maxBoxes = 1024

// cover are the places of rules that together certainly match whatever rule does; none: that isn't certain.
// What a rule matches, some combination of one pattern from each of its lists does.
func (rules Rules) cover(rule *Rule) []int {
	boxes := rule.boxes()
	var by []int
	for i := range boxes {
		j := slices.IndexFunc(rules, func(earlier Rule) bool { return earlier.covers(&boxes[i]) })
		if j < 0 {
			return nil
		}
		by = append(by, j)
	}
	slices.Sort(by)
	return slices.Compact(by)
}

// boxes are the rule with one pattern in each list that has any, in every combination; the rule itself if
// these are too many.
func (rule *Rule) boxes() []Rule {
	all := []Rule{*rule}
	for _, field := range []func(*Rule) *[]string{
		func(r *Rule) *[]string { return &r.Admins }, func(r *Rule) *[]string { return &r.Accounts }, func(r *Rule) *[]string { return &r.Groups },
		func(r *Rule) *[]string { return &r.Users }, func(r *Rule) *[]string { return &r.UserGroups }, func(r *Rule) *[]string { return &r.Sessions },
	} {
		patterns := *field(rule)
		if len(patterns) == 0 {
			continue
		}
		if len(all)*len(patterns) > maxBoxes {
			return []Rule{*rule}
		}
		var more []Rule
		for _, r := range all {
			for _, p := range patterns {
				*field(&r) = []string{p}
				more = append(more, r)
			}
		}
		all = more
	}
	return all
}

// numbers are rules' numbers in words, by their places.
func numbers(places []int) string {
	all := make([]string, len(places))
	for i, p := range places {
		all[i] = strconv.Itoa(p + 1)
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// covers reports whether rule certainly matches whatever other does.
func (rule *Rule) covers(other *Rule) bool {
	theirs := other.lists()
	for i, l := range rule.lists() {
		if len(l.patterns) == 0 {
			continue
		}
		if len(theirs[i].patterns) == 0 && !(l.always && coversAny(l.patterns, "*")) {
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
