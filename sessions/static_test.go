package sessions

import (
	"os/user"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/xsession"
)

// requireRefusal asserts that err is a refusal for that reason and returns it.
func requireRefusal(t *testing.T, err error, reason shadow.Reason) *shadow.End {
	t.Helper()
	var r *shadow.End
	require.ErrorAs(t, err, &r)
	require.Equal(t, reason, r.Reason)
	return r
}

// reasonOf is why s can't be shadowed, or "".
func reasonOf(s *shadow.Session) shadow.Reason {
	if r := s.Refusal(); r != nil {
		return r.Reason
	}
	return ""
}

func TestStatic(t *testing.T) {
	sessions := Static{
		{ID: "42", Display: ":1", User: "nobody", Xauthority: "/run/cookie", Locale: "fr:de"},
		{ID: "root", Display: ":2", User: "root"},
		{ID: "gone", Display: ":3", User: "no-such-account"},
	}

	t.Run("found", func(t *testing.T) {
		nobody, err := user.Lookup("nobody")
		require.NoError(t, err)
		s, err := sessions.Session(t.Context(), "42")
		require.NoError(t, err)
		assert.Equal(t, ":1", s.Display)
		assert.Equal(t, "/run/cookie", s.Xauthority)
		assert.Equal(t, "fr:de", s.Locale)
		assert.Equal(t, "nobody", s.User)
		assert.Equal(t, nobody.Uid, strconv.Itoa(int(s.UID)))
		assert.Equal(t, nobody.Gid, strconv.Itoa(int(s.GID)))
		assert.Nil(t, s.Refusal())
	})
	t.Run("root, since it is written down", func(t *testing.T) {
		s, err := sessions.Session(t.Context(), "root")
		require.NoError(t, err)
		assert.Zero(t, s.UID)
		assert.Equal(t, xsession.HostLocale("/"), s.Locale, "the host's, if none is written down")
		assert.Nil(t, s.Refusal())
	})
	t.Run("unknown id", func(t *testing.T) {
		_, err := sessions.Session(t.Context(), "43")
		assert.Contains(t, requireRefusal(t, err, shadow.NoSession).Detail, `"43"`)
	})
	t.Run("unknown user", func(t *testing.T) {
		_, err := sessions.Session(t.Context(), "gone")
		assert.Contains(t, requireRefusal(t, err, shadow.NoUser).Detail, `"no-such-account"`)
	})
	t.Run("list", func(t *testing.T) {
		list, err := sessions.Sessions(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 3)
		assert.Equal(t, "42", list[0].ID)
		assert.Equal(t, shadow.NoUser, reasonOf(list[2]), "nobody must take uid 0 for the unknown account's")
		assert.Contains(t, list[2].Refusal().Detail, `"no-such-account"`)
	})
	t.Run("none", func(t *testing.T) {
		list, err := Static(nil).Sessions(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list)
	})
}
