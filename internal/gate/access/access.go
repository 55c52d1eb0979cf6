// Package access decides what a signed-in person may do at the gate: a [Table] of rules, each
// of which gives some people some rights to some users' sessions on some hosts. Rights add up,
// and what no rule gives, nobody has. The host's own rules decide afterwards all the same.
//
//	table := access.Table{{Groups: []string{"helpdesk"}, Users: []string{"*"}, May: []access.Right{access.List, access.Shadow}}}
//	table.May(who, access.Shadow, "vda1", "ann")
package access

import (
	"slices"
	"strings"
)

// A Right is something that a person may do.
type Right string

// The rights.
const (
	List   Right = "list"   // see the session, and who views it
	Shadow Right = "shadow" // ask the session's user, and view
	Stop   Right = "stop"   // end another administrator's view; everybody may end a view of their own
	Audit  Right = "audit"  // read what happened
)

// Rights lists the rights.
func Rights() []Right { return []Right{List, Shadow, Stop, Audit} }

// A Rule gives rights. In its patterns "*" stands for any characters, and the case of A to Z makes
// no difference. An empty list matches everything, any other one if one of its patterns matches;
// the rule matches if all its lists do.
type Rule struct {
	Names  []string // names of people as they signed in
	Groups []string // groups that they are in
	Hosts  []string // names of hosts
	Users  []string // accounts of the sessions' users
	May    []Right
}

// A Table is all that anybody may do. The zero Table gives nobody any right.
type Table []Rule

// A Person is who is signed in.
type Person struct {
	Name   string
	Groups []string
}

// A Permit is a rule that is about a person, with its number in the table, from 1.
type Permit struct {
	Rule   int      `json:"rule"`
	Hosts  []string `json:"hosts"` // patterns; "*" is every host
	Users  []string `json:"users"` // patterns; "*" is every user
	Rights []Right  `json:"may"`
}

// May reports whether p may do something with the sessions of a user on a host. What no user
// is known of, an empty one, matches only a rule for every user.
func (t Table) May(p Person, right Right, host, user string) bool {
	return slices.ContainsFunc(t, func(r Rule) bool {
		return r.about(p) && slices.Contains(r.May, right) && matches(r.Hosts, host) && matches(r.Users, user)
	})
}

// MayAnywhere reports whether p may do something on any host, with some user's sessions.
func (t Table) MayAnywhere(p Person, right Right) bool {
	return slices.ContainsFunc(t, func(r Rule) bool { return r.about(p) && slices.Contains(r.May, right) })
}

// MayOn reports whether p may do something on a host, with some user's sessions.
func (t Table) MayOn(p Person, right Right, host string) bool {
	return slices.ContainsFunc(t, func(r Rule) bool {
		return r.about(p) && slices.Contains(r.May, right) && matches(r.Hosts, host)
	})
}

// Of lists what p may do.
func (t Table) Of(p Person) []Permit {
	list := []Permit{}
	for i, r := range t {
		if r.about(p) {
			list = append(list, Permit{Rule: i + 1, Hosts: orAll(r.Hosts), Users: orAll(r.Users), Rights: slices.Clone(r.May)})
		}
	}
	return list
}

// about reports whether a rule gives its rights to p. Who has no name is nobody.
func (r Rule) about(p Person) bool {
	return p.Name != "" && matches(r.Names, p.Name) &&
		(len(r.Groups) == 0 || slices.ContainsFunc(p.Groups, func(g string) bool { return matches(r.Groups, g) }))
}

func matches(patterns []string, s string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return match(lower(p), lower(s)) })
}

// lower is s with A to Z in lower case. Other letters are left: some, such as U+017F and U+212A, are another
// letter of ASCII's but for case, so that a name with one would be taken for somebody else's.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}

// match reports whether a pattern matches all of s.
func match(pattern, s string) bool {
	i, j, star, taken := 0, 0, -1, 0 // star is the place of the last one, taken is what it and all before it have
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, taken = i, j
			i++
		case i < len(pattern) && pattern[i] == s[j]:
			i++
			j++
		case star >= 0:
			taken++
			i, j = star+1, taken
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

func orAll(patterns []string) []string {
	if len(patterns) == 0 {
		return []string{"*"}
	}
	return slices.Clone(patterns)
}
