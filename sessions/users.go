package sessions

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/named"
)

// find is account.Lookup, but in tests.
var find = account.Lookup

// An owner is what this host says of a session's user.
type owner struct {
	account *account.Account
	err     error // why there is none
}

// lookUp looks one user up.
func lookUp(ctx context.Context, name string) (u owner) {
	u.account, u.err = find(ctx, name)
	return u
}

// lookUpAll looks users up, side by side: a domain that hangs costs the others' sessions nothing.
func lookUpAll(ctx context.Context, names []string) (map[string]owner, error) {
	late, cancel := context.WithTimeout(ctx, hostTime)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	users, asked := map[string]owner{}, map[string]bool{}
	places := make(chan struct{}, hostPeak)
	for _, name := range names {
		if asked[name] {
			continue
		}
		asked[name] = true
		wg.Go(func() {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			case <-late.Done():
			}
			u := lookUp(late, name)
			if u.err != nil && !errors.Is(u.err, account.ErrUnknown) {
				u.err = because(late, u.err)
			}
			mu.Lock()
			defer mu.Unlock()
			users[name] = u
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, pkg.Errorf("%w", context.Cause(ctx))
	}
	return users, nil
}

// setUser fills in who the user of s is. An account that this host doesn't know is a
// *shadow.End with NoUser.
func setUser(s *shadow.Session, name string, u owner) error {
	if errors.Is(u.err, account.ErrUnknown) {
		return &shadow.End{Reason: shadow.NoUser, Detail: fmt.Sprintf("the account %q of session %q is unknown to this host", name, s.ID), Err: u.err}
	}
	if u.err != nil {
		return pkg.Errorf("the account %q of session %q wasn't found: %w", name, s.ID, u.err)
	}
	s.User, s.UID, s.GID, s.Groups = name, u.account.UID, u.account.GID, u.account.Groups
	return nil
}

// unavailable is why a session can't be shadowed of which err is all that is known.
func unavailable(err error) *shadow.End {
	if r, ok := errors.AsType[*shadow.End](err); ok {
		return r
	}
	return &shadow.End{Reason: shadow.DisplayUnreachable, Detail: named.Text(err), Err: err}
}
