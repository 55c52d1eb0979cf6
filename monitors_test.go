package shadow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// monitorSource is a source that knows monitors, and panics for one session.
type monitorSource struct{ fakeSource }

func (*monitorSource) Monitors(_ context.Context, s *shadow.Session) ([]shadow.Monitor, error) {
	switch s.ID {
	case "s1":
		return []shadow.Monitor{{Name: "DP-1", Width: 800, Height: 600, Primary: true}, {Name: "DP-2", X: 800, Width: 640, Height: 480}}, nil
	case "s2":
		panic("no monitors")
	}
	return nil, errors.New("not known")
}

func TestMonitorsOfSessions(t *testing.T) {
	resolver := listed{
		{ID: "s1", User: "user1", UID: 1, Display: ":1"}, {ID: "s2", User: "user2", UID: 2, Display: ":2"},
		{ID: "s3", User: "user3", UID: 3, Display: ":3"}, {ID: "s4"},
	}
	m, err := shadow.New(shadow.Config{Sessions: resolver, Prompter: consent.Allow{}, Source: &monitorSource{}})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Shutdown(t.Context())) }()
	list, err := m.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 4)
	require.Len(t, list[0].Monitors, 2)
	assert.Equal(t, "DP-2", list[0].Monitors[1].Name)
	for i, s := range list[1:] {
		assert.Empty(t, s.Monitors)
		assert.Equal(t, resolver[i+1].ID, s.ID)
	}
	assert.Empty(t, resolver[0].Monitors, "the resolver's own was changed")
}

// listed is a resolver of sessions that stay.
type listed []*shadow.Session

func (l listed) Session(_ context.Context, id string) (*shadow.Session, error) {
	for _, s := range l {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, &shadow.Refusal{Reason: shadow.NoSession}
}

func (l listed) Sessions(context.Context) ([]*shadow.Session, error) { return l, nil }
