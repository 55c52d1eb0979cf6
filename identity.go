package shadow

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/consent"
)

// Who asks is what this host knows by itself, where it can: the account of the caller, whatever it calls
// itself, if it is a person's. A service ([Caller.isService]) asks for administrators whom it has signed
// in; what it states is looked up among the accounts. A name that isn't there is only claimed. The
// user is shown the full name and the account, and what is only claimed as such.

// identityTime is how long name services may take to say who an administrator is. It passes while the
// display is looked at.
const identityTime = 2 * time.Second

// person is the account of a person who asks, or its number if it has no name; empty: a service asks, or it
// isn't known who does.
func (l *life) person() string {
	if l.caller == nil || l.caller.isService() {
		return ""
	}
	return cmp.Or(l.caller.User, strconv.FormatUint(uint64(l.caller.UID), 10))
}

// counted returns the key by which an administrator's requests are counted: the account for a person,
// otherwise the stated name with A to Z in one case. Other letters aren't folded, as in a gate's access
// table: "\u212Aim" is another person there than kim, and must not use up kim's requests.
func (l *life) counted() string {
	if l.caller != nil && !l.caller.isService() {
		return "uid " + strconv.FormatUint(uint64(l.caller.UID), 10)
	}
	return byName + strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, consent.CleanName(l.req.Admin))
}

// asker is counted as far as the user is shown it, who is to say No once only to what looks the same.
func (l *life) asker() string {
	name := []rune(l.counted())
	return string(name[:min(len(name), len(byName)+shownName)])
}

// byName begins what makes administrators the same who have a name only.
const byName = "name "

// claims begins the asker that all names are that a service states and no account has.
const claims = "claims of uid "

// askers is who waits after a No: l's asker, and besides the stated name whom a service asks for as this host knows it, who has other
// names, too: the account, or everybody whom that service states and no account has. Before identify has
// found out it is asker alone.
func (l *life) askers() []string {
	l.m.mu.Lock()
	id, identified := l.identity, l.identified
	l.m.mu.Unlock()
	list := []string{l.asker()}
	switch {
	case !identified || l.caller == nil || l.person() != "":
	case id.Account != "":
		list = append(list, "account "+id.Account)
	default:
		list = append(list, claims+strconv.FormatUint(uint64(l.caller.UID), 10))
	}
	return list
}

// identify begins to find out who asks. known returns when that is known, or can't be found out in time.
func (l *life) identify() (known func()) {
	if l.m.cfg.Accounts == nil {
		return func() { l.setIdentity(consent.Identity{}) }
	}
	person, name := l.person(), consent.CleanName(l.req.Admin)
	ctx, cancel := context.WithTimeout(l.ctx, identityTime)
	found := make(chan consent.Identity, 1)
	looked := done(func() { found <- l.m.identity(ctx, person, name) })
	return func() {
		defer cancel()
		select {
		case <-looked:
		case <-ctx.Done():
			l.leave("the look-up of the administrator's account", looked)
		}
		select {
		case id := <-found:
			l.setIdentity(id)
		default:
			l.setIdentity(consent.Identity{Account: person})
		}
	}
}

func (l *life) setIdentity(id consent.Identity) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.identity, l.identified = id, true
}

// identity is who asks: a person, or else somebody of a stated name.
func (m *Manager) identity(ctx context.Context, person, stated string) consent.Identity {
	name := stated
	if person != "" {
		name = person
	}
	account, full, err := m.cfg.Accounts(ctx, name)
	if err != nil {
		return consent.Identity{Account: person}
	}
	return consent.Identity{Account: account, Name: full}
}

// shownAs is the name that the user is told the administrator goes by. What a service has stated, and this host knows, is
// another name of the same account.
func (l *life) shownAs() string {
	if l.identity.Account != "" && l.person() == "" {
		return l.identity.Account
	}
	return l.req.Admin
}
