package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Rules are an organisation's, in order: the first that matches decides. Where none does, the user
// is asked, and silence and a locked screen refuse.
type Rules []Rule

// A Rule says what happens to some requests. Its lists hold patterns, in which "*" stands for any
// characters and case makes no difference. An empty list matches everything, any other one matches
// if one of its patterns does; the rule matches if all its lists do.
type Rule struct {
	Admins   []string // names of administrators, as they are given by whoever asks for them
	Accounts []string // accounts of this host that ask, as the kernel tells them
	Groups   []string // groups that the administrator is in, as they are given by whoever asks

	Users      []string // accounts of the sessions' users
	UserGroups []string // groups of this host that the user is in
	Sessions   []string // ids or types ("x11") of sessions

	Answer     Answer // what happens to the request
	Unanswered bool   // with Ask: a user who doesn't answer is viewed. Otherwise silence refuses
	Locked     bool   // a locked screen is viewed, without a question. Otherwise it refuses
}

// An Answer is what a rule does with a request. The zero value asks.
type Answer uint8

// The answers.
const (
	Ask    Answer = iota // the user is asked
	Notify               // the user isn't asked, but must have seen for some seconds that somebody will view
	Deny                 // the request is refused
	Allow                // nobody is asked
)

// String is the answer's word.
func (a Answer) String() string {
	if int(a) < len(answers) {
		return answers[a]
	}
	return fmt.Sprintf("Answer(%d)", uint8(a))
}

var answers = [...]string{Ask: "ask", Notify: "notify", Deny: "deny", Allow: "allow"}

// A Request is what rules are held against.
type Request struct {
	Admin   string   // the administrator's name
	Account string   // account of this host that asks; empty: not known
	Groups  []string // that the administrator is in

	User       string   // account of the session's user
	UserGroups []string // that the user is in
	Session    string   // its id
	Type       string   // its type, such as "x11"
}

// A Verdict is what the rules say of a request.
type Verdict struct {
	Rule          // that decides; the zero Rule, which asks, if none matches
	Number int    // of the rule, from 1; 0: none matches
	Why    string // for each rule before this one why it doesn't decide, and why this one does, a line each, for people
}

// Name is the rule's number, or "none".
func (v Verdict) Name() string {
	if v.Number == 0 {
		return "none"
	}
	return strconv.Itoa(v.Number)
}

// Decide returns what the first matching rule says of r.
func (rules Rules) Decide(r Request) Verdict {
	var why strings.Builder
	for i, rule := range rules {
		field := rule.mismatch(r)
		if field == "" {
			fmt.Fprintf(&why, "rule %d matches: %s\n", i+1, rule.matched(r))
			return Verdict{Rule: rule, Number: i + 1, Why: why.String()}
		}
		fmt.Fprintf(&why, "rule %d doesn't match: %s\n", i+1, field)
	}
	return Verdict{Why: why.String()}
}

// A list is one of a rule's lists, with what a request has in its place.
type list struct {
	name     string
	patterns []string
	values   func(r Request) []string
	always   bool // every request has some
}

// lists are the rule's, in the order of its fields.
func (rule *Rule) lists() []list {
	return []list{
		{"admins", rule.Admins, func(r Request) []string { return one(r.Admin) }, true},
		{"accounts", rule.Accounts, func(r Request) []string { return one(r.Account) }, false},
		{"groups", rule.Groups, func(r Request) []string { return r.Groups }, false},
		{"users", rule.Users, func(r Request) []string { return one(r.User) }, true},
		{"user_groups", rule.UserGroups, func(r Request) []string { return r.UserGroups }, false},
		{"sessions", rule.Sessions, func(r Request) []string { return append(one(r.Session), one(r.Type)...) }, true},
	}
}

// one is a value, if there is one.
func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// mismatch says why a rule doesn't match, or is empty if it does.
func (rule *Rule) mismatch(r Request) string {
	for _, l := range rule.lists() {
		values := l.values(r)
		if len(l.patterns) > 0 && !slices.ContainsFunc(values, func(v string) bool { return MatchAny(l.patterns, v) }) {
			if len(values) == 0 {
				return l.name + ": the request has none"
			}
			return fmt.Sprintf("%s: %s is none of %s", l.name, quoteAll(values), quoteAll(l.patterns))
		}
	}
	return ""
}

// matched says what of r a rule matches that does.
func (rule *Rule) matched(r Request) string {
	var all []string
	for _, l := range rule.lists() {
		for _, v := range l.values(r) {
			i := slices.IndexFunc(l.patterns, func(p string) bool { return match(p, v, false) })
			if i >= 0 {
				all = append(all, fmt.Sprintf("%s: %q fits %q", l.name, v, l.patterns[i]))
				break
			}
		}
	}
	if len(all) == 0 {
		return "it has no lists, so it matches everything"
	}
	return strings.Join(all, "; ")
}

// NeedsUserGroups reports whether any rule looks at the groups of sessions' users.
func (rules Rules) NeedsUserGroups() bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return len(r.UserGroups) > 0 })
}

// Notifies reports whether any rule tells users that somebody will view, without asking them.
func (rules Rules) Notifies() bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.Answer == Notify })
}

// WithoutYes reports whether rule may let a viewing begin without the user's Yes: unasked, by silence or
// by a locked screen.
func (rule Rule) WithoutYes() bool {
	switch rule.Answer {
	case Deny:
		return false
	case Ask:
		return rule.Unanswered || rule.Locked
	}
	return true
}

// WithoutYes is the place, from 0, of the first rule that may let a viewing begin without the user's Yes; -1:
// there is none.
func (rules Rules) WithoutYes() int { return slices.IndexFunc(rules, Rule.WithoutYes) }

// String is the rule as the configuration has it, in one line.
func (rule Rule) String() string {
	var b strings.Builder
	for _, l := range rule.lists() {
		if len(l.patterns) > 0 {
			fmt.Fprintf(&b, "%s = [%s] ", l.name, quoteAll(l.patterns))
		}
	}
	fmt.Fprintf(&b, "answer = %q", rule.Answer.String())
	if rule.Unanswered {
		b.WriteString(` unanswered = "allow"`)
	}
	if rule.Locked {
		b.WriteString(` locked = "allow"`)
	}
	return b.String()
}

func quoteAll(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = strconv.Quote(s)
	}
	return strings.Join(quoted, ", ")
}
