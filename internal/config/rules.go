package config

import (
	"slices"
	"strings"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/keyfile"
)

// ruleKeys lists the keys of one [[consent.rules]], bound to r.
func ruleKeys(r *policy.Rule) []keyfile.Key {
	patterns := func(name string, dst *[]string) keyfile.Key {
		return keyfile.Line(name, "", keyfile.List(dst, keyfile.CheckPatterns))
	}
	return []keyfile.Key{
		patterns("admins", &r.Admins),
		patterns("accounts", &r.Accounts),
		patterns("groups", &r.Groups),
		patterns("users", &r.Users),
		patterns("user_groups", &r.UserGroups),
		patterns("sessions", &r.Sessions),
		keyfile.Line("answer", "", answer{&r.Answer}),
		keyfile.Line("unanswered", "", fallback{&r.Unanswered}),
		keyfile.Line("locked", "", fallback{&r.Locked}),
	}
}

// rulesComment is above the rules in the printed file.
const rulesComment = `# [[consent.rules]]: the first rule that matches decides; without a match, the user is asked. "*" in a list stands for any
# characters; a list that is left out matches everything.
# admins, groups: the administrator's name and groups, as the caller states them; accounts: the caller's account on this host
# users, user_groups: the session's user and that account's groups; sessions: session ids or types
# answer = "ask" | "notify" (inform the user for 5 s, without asking) | "deny" | "allow" (without asking); the banner always shows
# unanswered, locked = "deny" | "allow": what no answer, and a locked screen, mean
`

// readRules reads the rules, and what they mean together.
func readRules(r *keyfile.Reader, tables []map[string]any) policy.Rules {
	var all policy.Rules
	for i, t := range tables {
		name := keyfile.Element(rulesKey, i)
		var rule policy.Rule
		r.ReadTable(name, t, ruleKeys(&rule))
		if _, there := t["answer"]; !there {
			r.Fail(name, `answer is missing: it is "ask", "notify", "deny" or "allow"`)
		}
		all = append(all, rule)
	}
	if r.Failed() {
		return all // what is left of the rules means something else
	}
	for i, rule := range all {
		for _, p := range rule.Admins {
			if name := consent.CleanName(p); name != p && strings.TrimSpace(p) != "" {
				r.Fail(keyfile.Join(keyfile.Element(rulesKey, i), "admins"), "%q can never match: names are cleaned before, so write %q", p, name)
			}
		}
	}
	for _, p := range all.Check() {
		key := keyfile.Element(rulesKey, p.Rule-1)
		if p.Key != "" {
			key = keyfile.Join(key, p.Key)
		}
		r.Fail(key, "%s", p.Text)
	}
	return all
}

// answer is a rule's answer.
type answer struct{ dst *policy.Answer }

var answerWords = []string{policy.Ask.String(), policy.Notify.String(), policy.Deny.String(), policy.Allow.String()}

func (a answer) Set(v any) error {
	var word string
	if err := (keyfile.Choice(&word, answerWords...)).Set(v); err != nil {
		return err
	}
	*a.dst = policy.Answer(slices.Index(answerWords, word))
	return nil
}

func (a answer) TOML() string { return keyfile.Quote(a.dst.String()) }

// fallback is what something other than a Yes means: "deny" or "allow".
type fallback struct{ allow *bool }

func (f fallback) Set(v any) error {
	var word string
	if err := (keyfile.Choice(&word, "deny", "allow")).Set(v); err != nil {
		return err
	}
	*f.allow = word == "allow"
	return nil
}

func (f fallback) TOML() string {
	if *f.allow {
		return `"allow"`
	}
	return `"deny"`
}
