package shadow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
)

// decide finds the rule for l, and refuses what it denies.
func (l *life) decide(s *Session) *End {
	verdict, err := l.m.judge(l.ctx, l.req, s)
	if why, ok := errors.AsType[*End](err); ok {
		return why
	}
	if err != nil {
		return l.refuse(PromptFailed, err)
	}
	l.m.mu.Lock() // the end may be told, of a request that was left behind
	l.rule = &verdict
	l.m.mu.Unlock()
	if verdict.Answer == policy.Deny {
		return &End{Reason: NotAllowed, Detail: "by rule " + verdict.Name()}
	}
	return nil
}

// judge holds a request against the rules. A session without a user is refused before: rules may count on one.
func (m *Manager) judge(ctx context.Context, req Request, s *Session) (policy.Verdict, error) {
	if s.User == "" {
		return policy.Verdict{}, s.Refusal()
	}
	r := policy.Request{
		Admin: consent.CleanName(req.Admin), Account: req.Account, Groups: req.Groups,
		User: s.User, Session: s.ID, Type: s.Type,
	}
	if r.Type == "" {
		r.Type = "x11"
	}
	if m.cfg.Rules.NeedsUserGroups() {
		var err error
		gids := s.Groups
		if !slices.Contains(gids, s.GID) {
			gids = append([]uint32{s.GID}, gids...)
		}
		if r.UserGroups, err = m.cfg.GroupNames(ctx, gids); err != nil {
			return policy.Verdict{}, fmt.Errorf("the groups of the session's user, which a rule looks at: %w", err)
		}
	}
	return m.cfg.Rules.Decide(r), nil
}

// Rules are those that requests are held against.
func (m *Manager) Rules() policy.Rules { return m.cfg.Rules }

// Judge says what the rules would do with a request, and does nothing. The error is a *[End]
// where Shadow's would be one: no_session for example.
func (m *Manager) Judge(ctx context.Context, req Request) (policy.Verdict, error) {
	s, err := m.cfg.Sessions.Session(ctx, req.Session)
	if err != nil {
		return policy.Verdict{}, err
	}
	return m.judge(ctx, req, s)
}

// unfit says why s can't be shadowed, or is nil if it can: a locked one can where the rule says so.
func (l *life) unfit(s *Session) *End {
	r := s.Refusal()
	if r == nil || r.Reason != Locked || !s.Locked || !l.rule.Locked {
		return r
	}
	unlocked := *s
	unlocked.Locked = false
	return unlocked.Refusal()
}

// consented gets what the rule demands for the viewing: a Yes, or what stands for it.
func (l *life) consented() *End {
	if l.session.Locked { // unfit has seen that the rule allows it
		return l.without(consent.ByLock)
	}
	if l.rule.Answer == policy.Allow {
		return l.without(consent.ByRuleOnly)
	}
	return l.prompt()
}

// allow notes what allows the viewing.
func (l *life) allow(basis consent.Basis) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.basis = basis
}

// without lets the viewing begin without a Yes, as the rule says, and says so in the log. The session
// is looked up again: it may have changed while the user was asked.
func (l *life) without(basis consent.Basis) *End {
	if _, why := l.settings(); why != nil {
		return why
	}
	if why := l.findAgain(); why != nil {
		return why
	}
	l.allow(basis)
	l.m.journal.write(func() {
		l.m.cfg.Logger.Warn().Str("id", l.id).Str("session", l.session.ID).Str("user", l.session.User).Str("admin", l.req.Admin).
			Str("rule", l.rule.Name()).Str("consent", string(basis)).Msg("a rule allows viewing without the user's Yes")
	})
	return nil
}

// put puts the question, or the notice, to the user.
func (l *life) put(ctx context.Context, r consent.Request) (consent.Decision, error) {
	if l.rule.Answer != policy.Notify {
		return l.m.cfg.Prompter.Ask(ctx, r)
	}
	r.Basis = consent.ByNotice
	return l.m.cfg.Announcer.Announce(ctx, r)
}
