package config

import (
	"errors"
	"slices"

	"vda.internal/shadow/consent/policy"
)

// ruleKeys lists the keys of one [[consent.rules]], bound to r.
func ruleKeys(r *policy.Rule) []key {
	patterns := func(name string, dst *[]string) key { return key{name, "", list{dst, checkPatterns}} }
	return []key{
		patterns("admins", &r.Admins),
		patterns("accounts", &r.Accounts),
		patterns("groups", &r.Groups),
		patterns("users", &r.Users),
		patterns("user_groups", &r.UserGroups),
		patterns("sessions", &r.Sessions),
		{"answer", "", answer{&r.Answer}},
		{"unanswered", "", fallback{&r.Unanswered}},
		{"locked", "", fallback{&r.Locked}},
	}
}

// rulesComment is above the rules in the printed file.
const rulesComment = `# [[consent.rules]]: the first that matches decides; if none does the user is asked. In the lists "*" stands for any
# characters, and a list that is left out matches everything.
# admins, groups: names of administrators and their groups, as the caller states them; accounts: the host's account that calls
# users, user_groups: the session's user, and the groups of that account; sessions: ids or types of sessions
# answer = "ask" | "notify" (not asked, but told for 5 s before) | "deny" | "allow" (not asked); always the banner
# unanswered, locked = "deny" | "allow": what a user's silence, and a locked screen, mean
`

// checkPatterns refuses a list that matches nothing, where somebody may have meant everything.
func checkPatterns(patterns []string) error {
	if len(patterns) == 0 {
		return errors.New("an empty list isn't allowed; leave the key out to match everything")
	}
	return nil
}

// rules reads the rules, and what they mean together.
func (r *reader) rules(tables []map[string]any) policy.Rules {
	var all policy.Rules
	for i, t := range tables {
		name := element(rulesKey, i)
		var rule policy.Rule
		sub := &reader{lines: r.lines, known: map[string]value{}}
		for _, k := range ruleKeys(&rule) {
			sub.known[join(name, k.name)] = k.value
		}
		sub.table(name, t)
		if _, there := t["answer"]; !there {
			sub.fail(name, `answer is missing: it is "ask", "notify", "deny" or "allow"`)
		}
		r.problems = append(r.problems, sub.problems...)
		all = append(all, rule)
	}
	if len(r.problems) > 0 {
		return all // what is left of the rules means something else
	}
	for _, p := range all.Check() {
		key := element(rulesKey, p.Rule-1)
		if p.Key != "" {
			key = join(key, p.Key)
		}
		r.fail(key, "%s", p.Text)
	}
	return all
}

// answer is a rule's answer.
type answer struct{ dst *policy.Answer }

var answerWords = []string{policy.Ask.String(), policy.Notify.String(), policy.Deny.String(), policy.Allow.String()}

func (a answer) set(v any) error {
	var word string
	if err := (choice{&word, answerWords}).set(v); err != nil {
		return err
	}
	*a.dst = policy.Answer(slices.Index(answerWords, word))
	return nil
}

func (a answer) toml() string { return quote(a.dst.String()) }

// fallback is what something other than a Yes means: "deny" or "allow".
type fallback struct{ allow *bool }

func (f fallback) set(v any) error {
	var word string
	if err := (choice{&word, []string{"deny", "allow"}}).set(v); err != nil {
		return err
	}
	*f.allow = word == "allow"
	return nil
}

func (f fallback) toml() string {
	if *f.allow {
		return `"allow"`
	}
	return `"deny"`
}
