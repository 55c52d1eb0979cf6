package sessions

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/account"
)

// domain finds accounts in a domain: some of them hang, and some take a while.
func domain(t *testing.T) {
	find = func(ctx context.Context, name string) (*account.Account, error) {
		kind, _, _ := strings.Cut(name, "-")
		switch kind {
		case "down":
			return nil, errors.New("the domain is down")
		case "hanging":
			<-ctx.Done()
			return nil, errors.New("signal: killed")
		case "slow":
			time.Sleep(3 * time.Second)
		}
		return &account.Account{Name: name, UID: 1001, GID: 1001}, nil
	}
	t.Cleanup(func() { find = account.Lookup })
}

// An account that can't be looked up is unavailable, with the reason, and costs the others' sessions nothing.
func TestAccountThatCannotBeLookedUp(t *testing.T) {
	domain(t)
	for name, list := range map[string]shadow.Resolver{
		"static": Static{{ID: "1", Display: ":1", User: "down-1"}, {ID: "2", Display: ":2", User: "kim"}},
		"exec":   shell(`echo '{"id": "1", "display": ":1", "user": "down-1"}'; echo '{"id": "2", "display": ":2", "user": "kim"}'`),
	} {
		t.Run(name, func(t *testing.T) {
			all, err := list.Sessions(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 2)
			assert.Equal(t, shadow.DisplayUnreachable, reasonOf(all[0]))
			assert.Equal(t, `the account "down-1" of session "1" wasn't found: the domain is down`, all[0].Unavailable.Detail)
			assert.Equal(t, "down-1", all[0].User)
			assert.Empty(t, reasonOf(all[1]))
			_, err = list.Session(t.Context(), "1")
			require.ErrorContains(t, err, "the domain is down")
			_, err = list.Session(t.Context(), "2")
			require.NoError(t, err)
		})
	}
}

// Accounts are looked up side by side, and what hangs is left out.
func TestAccountsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domain(t)
		var list Static
		for _, user := range []string{"hanging-1", "slow-1", "hanging-2", "slow-2", "slow-3", "slow-1", "kim"} {
			list = append(list, StaticSession{ID: user, Display: ":1", User: user})
		}
		begun := time.Now()
		all, err := list.Sessions(t.Context())
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(begun), hostTime)
		for _, s := range all {
			if strings.HasPrefix(s.ID, "hanging") {
				assert.Contains(t, s.Unavailable.Detail, context.DeadlineExceeded.Error())
				continue
			}
			assert.Empty(t, reasonOf(s), s.ID)
			assert.EqualValues(t, 1001, s.UID)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = list.Sessions(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "who asked has no time any more")
	})
}
