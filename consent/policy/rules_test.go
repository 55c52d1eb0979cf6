package policy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ada is a request that most tests vary.
func ada() Request {
	return Request{
		Admin: `CORP\ada`, Account: "director", Groups: []string{"helpdesk", "berlin"},
		User: "kim", UserGroups: []string{"users", "students"}, Session: "c2", Type: "x11",
	}
}

func TestFirstMatchDecides(t *testing.T) {
	rules := Rules{
		{Users: []string{"root"}, Answer: Deny},
		{Groups: []string{"audit*"}, Answer: Notify},
		{UserGroups: []string{"kiosk"}, Answer: Allow, Locked: true},
		{Admins: []string{`CORP\*`}, Groups: []string{"helpdesk"}, Answer: Ask, Unanswered: true},
		{Answer: Deny},
	}
	for name, c := range map[string]struct {
		change func(*Request)
		want   int
	}{
		"the fourth":              {func(*Request) {}, 4},
		"a denied user":           {func(r *Request) { r.User = "root" }, 1},
		"the first of two":        {func(r *Request) { r.User, r.UserGroups = "root", []string{"kiosk"} }, 1},
		"one group of several":    {func(r *Request) { r.Groups = append(r.Groups, "Auditors") }, 2},
		"the user's group":        {func(r *Request) { r.UserGroups = []string{"users", "kiosk"} }, 3},
		"one list isn't enough":   {func(r *Request) { r.Groups = nil }, 5},
		"nor is the other":        {func(r *Request) { r.Admin = "ada" }, 5},
		"a part of a name is not": {func(r *Request) { r.User = "root2" }, 4},
	} {
		r := ada()
		c.change(&r)
		v := rules.Decide(r)
		assert.Equal(t, c.want, v.Number, name)
		assert.Equal(t, rules[v.Number-1], v.Rule, name)
		assert.Equal(t, c.want-1, strings.Count(v.Why, "doesn't match"), "each rule before says why it doesn't decide: %s", v.Why)
		assert.Contains(t, v.Why, fmt.Sprintf("rule %d matches: ", c.want), "and the rule why it does")
	}
	for _, none := range []Rules{nil, rules[:1]} {
		v := none.Decide(ada())
		assert.Zero(t, v.Rule, "none means ask, and nothing may stand for a Yes")
		assert.Equal(t, "none", v.Name())
	}
	assert.Equal(t, "4", rules.Decide(ada()).Name())
	assert.Equal(t, "rule 1 doesn't match: users: \"kim\" is none of \"root\"\n", rules[:1].Decide(ada()).Why)
	assert.Contains(t, rules.Decide(ada()).Why, `rule 4 matches: admins: "CORP\\ada" fits "CORP\\*"; groups: "helpdesk" fits "helpdesk"`)
	assert.Contains(t, Rules{{Accounts: []string{"*"}}}.Decide(Request{}).Why, "accounts: the request has none")
}

// Every list is held against what it is named after, and nothing else.
func TestLists(t *testing.T) {
	for field, c := range map[string]struct {
		hits, misses Rule
	}{
		"admins":       {Rule{Admins: []string{"x", `corp\A*`}}, Rule{Admins: []string{"director", "kim", "helpdesk"}}},
		"accounts":     {Rule{Accounts: []string{"dir*"}}, Rule{Accounts: []string{`CORP\ada`}}},
		"groups":       {Rule{Groups: []string{"berlin"}}, Rule{Groups: []string{"students", "users"}}},
		"users":        {Rule{Users: []string{"KIM"}}, Rule{Users: []string{"director", `CORP\ada`}}},
		"user_groups":  {Rule{UserGroups: []string{"student?", "students"}}, Rule{UserGroups: []string{"helpdesk", "student?"}}},
		"session id":   {Rule{Sessions: []string{"c2"}}, Rule{Sessions: []string{"c", "2"}}},
		"session type": {Rule{Sessions: []string{"x11"}}, Rule{Sessions: []string{"wayland"}}},
	} {
		assert.Equal(t, 1, Rules{c.hits}.Decide(ada()).Number, field)
		assert.Equal(t, 0, Rules{c.misses}.Decide(ada()).Number, field)
	}
	assert.Equal(t, 1, Rules{{}}.Decide(Request{}).Number, "a rule without lists matches everything")
	for _, rule := range []Rule{{Accounts: []string{"*"}}, {Groups: []string{"*"}}, {UserGroups: []string{"*"}}} {
		assert.Zero(t, Rules{rule}.Decide(Request{Admin: "a"}).Number, "no group, and no account, is none: %v", rule)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"a", "a", true}, {"a", "ab", false}, {"a", "ba", false},
		{"*", "", true}, {"*", `any\thing`, true}, {"**", "", true}, {"a*", "a", true}, {"a*", "abc", true}, {"a*", "ba", false},
		{"*@corp.example", "ada@corp.example", true}, {"*@corp.example", "ada@corp.example.evil", false}, {"*@corp.example", "ada@corpXexample", false},
		{`CORP\*`, `corp\Ada`, true}, {`CORP\*`, `CORP2\Ada`, false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXcYb", false},
		{"*ab*ab", "abab", true}, {"*ab*ab", "aab", false}, {"*aab", "aaab", true},
		{"ÄÖ*", "äöü", true}, {"σ", "ς", true}, {"K", "\u212a", false}, {"steve", "\u017fteve", false}, {"\u017f", "\u017f", true}, {"[a-z]", "b", false}, {"?", "b", false}, {"a.c", "abc", false},
	} {
		assert.Equal(t, c.want, match(c.pattern, c.s, false), "%q %q", c.pattern, c.s)
	}
	// Nothing that a stranger can name takes long.
	assert.False(t, match(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 5000), false))
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, other string
		want           bool
	}{
		{"*", "*", true}, {"*", "a*b", true}, {"a*", "a", true}, {"a*", "ab*", true}, {"a*", "*", false}, {"a*", "*a", false},
		{"*a*", "*a", true}, {"*a", "*a*", false}, {"a", "*", false}, {"a", "A", true}, {"a*b", "a*b", true}, {"a*b", "a*c", false},
	} {
		assert.Equal(t, c.want, match(c.pattern, c.other, true), "%q %q", c.pattern, c.other)
	}
}

func TestCheck(t *testing.T) {
	rules := Rules{
		{Users: []string{"kiosk*"}, Answer: Allow, Unanswered: true},
		{Users: []string{"kiosk1", "KIOSK2"}, Admins: []string{"a"}, Answer: Deny},
		{Users: []string{"kiosk1", "other"}},
		{Groups: []string{" "}, Answer: Deny, Locked: true},
		{},
		{Sessions: []string{"x11"}, Answer: Deny},
	}
	assert.Equal(t, []Problem{
		{1, "unanswered", `has no effect: with answer = "allow" nobody is asked`},
		{2, "", "can never match: rule 1, which comes first, matches whatever it does"},
		{4, "groups", "an empty pattern matches nothing; leave the list out to match everything"},
		{4, "locked", `has no effect: answer = "deny" refuses whether the screen is locked or not`},
		{6, "", "can never match: rule 5, which comes first, matches whatever it does"},
	}, rules.Check())
	several := Rules{
		{Users: []string{"a*"}, Answer: Deny}, {Users: []string{"b"}, Groups: []string{"x", "y"}}, {Users: []string{"a1", "B"}, Groups: []string{"y", "x"}, Answer: Deny},
		{Users: []string{"a1", "B"}, Groups: []string{"y", "z"}},
	}
	assert.Equal(t, []Problem{{3, "", "can never match: the rules 1 and 2, which come first, match whatever it does"}}, several.Check())
	many := Rule{}
	for i := range 200 {
		many.Users, many.Groups = append(many.Users, fmt.Sprint(i)), append(many.Groups, fmt.Sprint(i))
	}
	assert.Len(t, Rules{{Users: []string{"*"}}, many}.Check(), 1, "one rule covers it, however many combinations it has")
	assert.Empty(t, Rules{{Users: []string{"a"}, Answer: Deny}, {Answer: Ask, Unanswered: true, Locked: true}}.Check())
	for _, everything := range []Rule{{Admins: []string{"a", "*"}}, {Users: []string{"*"}}, {Sessions: []string{"**"}}, {Admins: []string{"*"}, Users: []string{"*"}, Sessions: []string{"*"}}} {
		assert.Equal(t, []Problem{{2, "", "can never match: rule 1, which comes first, matches whatever it does"}},
			Rules{everything, {Groups: []string{"helpdesk"}, Answer: Deny}}.Check(), "%v: every request has these", everything)
	}
	for _, rule := range []Rule{{Accounts: []string{"*"}}, {Groups: []string{"*"}}, {UserGroups: []string{"*"}}, {Users: []string{"k*"}}, {Users: []string{"*"}, Groups: []string{"*"}}} {
		assert.Empty(t, Rules{rule, {Answer: Deny}}.Check(), "%v: there are requests without", rule)
	}
}

func TestRuleString(t *testing.T) {
	assert.Equal(t, `admins = ["CORP\\ada", "b"] sessions = ["x11"] answer = "ask" unanswered = "allow" locked = "allow"`,
		Rule{Admins: []string{`CORP\ada`, "b"}, Sessions: []string{"x11"}, Unanswered: true, Locked: true}.String())
	assert.Equal(t, `answer = "notify"`, Rule{Answer: Notify}.String())
}

// A pattern means what the regular expression with .* for each star does.
func FuzzMatch(f *testing.F) {
	for _, s := range []string{"a*b|aXb", "*|", "*a*|ba", `CORP\*|corp\x`, "**a|aa", "\xff*|\xff", "ſ*|S", "*a*b|*a*|xab"} {
		p, rest, _ := strings.Cut(s, "|")
		f.Add(p, rest, "ab")
	}
	f.Fuzz(func(t *testing.T, pattern, other, s string) {
		if len(pattern)+len(other)+len(s) > 200 {
			return
		}
		expr := "(?is)^" + strings.ReplaceAll(regexp.QuoteMeta(strings.ToValidUTF8(pattern, "\ufffd")), `\*`, ".*") + "$"
		want := regexp.MustCompile(expr).MatchString(strings.ToValidUTF8(s, "\ufffd"))
		if strings.ToValidUTF8(pattern, "") == pattern && strings.ToValidUTF8(s, "") == s {
			require.Equal(t, want, match(pattern, s, false), "%q %q", pattern, s)
		}
		// What covers another pattern matches whatever that does.
		if match(pattern, other, true) && match(other, s, false) {
			require.True(t, match(pattern, s, false), "%q covers %q, which matches %q", pattern, other, s)
		}
	})
}

// A rule that is said never to match decides about nothing.
func FuzzCheck(f *testing.F) {
	f.Add("a*,b;x", "b;", "a1,b;x,y", "a1", "x", "y")
	f.Add("*;", ";*", "a;b", "a", "b", "")
	f.Add("a*b;", "*;x*", "aXb,a;xy", "aab", "xy", "X")
	f.Add("*;", ";x", ";", "a", "", "")
	f.Fuzz(func(t *testing.T, first, second, third, user, group, other string) {
		if len(first)+len(second)+len(third)+len(user)+len(group)+len(other) > 200 || user == "" { // every request has a user
			return
		}
		var rules Rules
		for _, s := range []string{first, second, third} {
			users, groups, _ := strings.Cut(s, ";")
			split := func(s string) []string {
				if s == "" {
					return nil
				}
				return strings.Split(s, ",")
			}
			rules = append(rules, Rule{Users: split(users), Groups: split(groups)})
		}
		v := rules.Decide(Request{User: user, Groups: []string{group, other}})
		for _, p := range rules.Check() {
			if strings.HasPrefix(p.Text, "can never match") {
				require.NotEqual(t, p.Rule, v.Number, "%v %q %q %q", rules, user, group, other)
			}
		}
	})
}

// What lets a viewing begin without a Yes.
func TestWithoutYes(t *testing.T) {
	asking := Rules{{}, {Answer: Deny}, {Answer: Deny, Unanswered: true, Locked: true}}
	assert.Equal(t, -1, asking.WithoutYes())
	for _, rule := range []Rule{{Unanswered: true}, {Locked: true}, {Answer: Notify}, {Answer: Allow}} {
		assert.Equal(t, 3, append(asking, rule).WithoutYes(), rule)
	}
}
