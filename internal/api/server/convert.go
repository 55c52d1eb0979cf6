package server

import (
	"strings"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
)

// requestOf is what r asks of the engine.
func requestOf(r api.Request, account string) shadow.Request {
	wish := shadow.Request{Session: r.Session, Admin: r.Admin, Client: r.Client, Purpose: r.Purpose, Monitor: r.Monitor, Owner: r.Owner, Groups: r.Groups, Account: account}
	if r.User != "" {
		wish.User = &r.User
	}
	return wish
}

// GrantOf is g on the wire.
func GrantOf(g *shadow.Grant) api.Grant {
	return api.Grant{
		ID: g.ID, Session: g.Session, Admin: g.Admin, URL: g.URL, Page: g.Page, Scheme: g.Scheme,
		Host: g.Host, Port: g.Port, Token: g.Token, Expires: g.Expires,
	}
}

// StatusOf is s on the wire.
func StatusOf(s shadow.Status) api.Status {
	return api.Status{
		ID: s.ID, Session: s.Session, User: s.User, Admin: s.Admin, Client: s.Client, Purpose: s.Purpose, Owner: s.Owner, Paused: s.Paused,
		State: s.State, Port: s.Port, Viewer: s.Viewer, Since: s.Since,
	}
}

// SessionOf is s on the wire, with why it can't be shadowed.
func SessionOf(s *shadow.Session) api.Session {
	one := api.Session{
		ID: s.ID, User: s.User, UID: s.UID, Display: s.Display, Xauthority: s.Xauthority, Locale: s.Locale, Bus: s.Bus,
		Type: s.Type, Class: s.Class, State: s.State, Locked: s.Locked, Shadowable: true,
	}
	if !s.Since.IsZero() {
		one.Since = &s.Since
	}
	for _, m := range s.Monitors {
		one.Monitors = append(one.Monitors, api.Monitor(m))
	}
	if r := s.Refusal(); r != nil {
		one.Shadowable, one.Reason, one.Detail = false, r.Reason, r.Detail
	}
	return one
}

// RuleOf is a rule with its number.
func RuleOf(number int, r policy.Rule) api.Rule {
	word := map[bool]string{true: "allow", false: "deny"}
	return api.Rule{Number: number, Answer: r.Answer.String(), Unanswered: word[r.Unanswered], Locked: word[r.Locked], Text: r.String()}
}

// VerdictOf is what the rules would say to a request of an account. The terms, which say what asking comes to, may be nil.
func VerdictOf(v policy.Verdict, account string, terms *api.Terms) api.Verdict {
	a := api.Verdict{Rule: RuleOf(v.Number, v.Rule), Account: account}
	if terms != nil {
		a.Prompter = terms.Prompter
	}
	for line := range strings.Lines(v.Why) {
		a.Why = append(a.Why, strings.TrimSuffix(line, "\n"))
	}
	return a
}
