package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
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
	case "crowd":
		list := make([]shadow.Monitor, 1000)
		for i := range list {
			list[i].Name = strings.Repeat("é", 30000)
		}
		return list, nil
	}
	return nil, errors.New("not known")
}

// What a user's X server calls its monitors is listed within bounds.
func TestManyLongMonitors(t *testing.T) {
	m, err := shadow.New(shadow.Config{Sessions: listed{{ID: "crowd", User: "user1", UID: 1, Display: ":1"}}, Prompter: consent.Allow{}, Source: &monitorSource{}})
	require.NoError(t, err)
	m.MonitorsWithin(patience)
	defer func() { require.NoError(t, m.Shutdown(t.Context())) }()
	list, err := m.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Len(t, list[0].Monitors, 64)
	assert.Equal(t, strings.Repeat("é", 64), list[0].Monitors[0].Name)
}

func TestMonitorsOfSessions(t *testing.T) {
	resolver := listed{
		{ID: "s1", User: "user1", UID: 1, Display: ":1"}, {ID: "s2", User: "user2", UID: 2, Display: ":2"},
		{ID: "s3", User: "user3", UID: 3, Display: ":3"}, {ID: "s4"},
	}
	m, err := shadow.New(shadow.Config{Sessions: resolver, Prompter: consent.Allow{}, Source: &monitorSource{}})
	require.NoError(t, err)
	m.MonitorsWithin(patience)
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

// hangingMonitors is a source of which one user's displays say nothing.
type hangingMonitors struct{ fakeSource }

func (*hangingMonitors) Monitors(ctx context.Context, s *shadow.Session) ([]shadow.Monitor, error) {
	if s.UID == 1 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return []shadow.Monitor{{Name: "DP-1"}}, nil
}

// A user whose displays hang, however many, costs others' sessions nothing in the list.
func TestMonitorsOfAUserThatHang(t *testing.T) {
	var resolver listed
	for i := range 12 {
		resolver = append(resolver, &shadow.Session{ID: fmt.Sprint("a", i), User: "mallory", UID: 1, Display: fmt.Sprint(":", i)},
			&shadow.Session{ID: fmt.Sprint("b", i), User: "alice", UID: uint32(2 + i%2), Display: fmt.Sprint(":1", i)})
	}
	m, err := shadow.New(shadow.Config{Sessions: resolver, Prompter: consent.Allow{}, Source: &hangingMonitors{}})
	require.NoError(t, err)
	m.MonitorsWithin(10 * time.Second)
	defer func() { require.NoError(t, m.Shutdown(t.Context())) }()
	list, err := m.Sessions(t.Context())
	require.NoError(t, err)
	for _, s := range list {
		assert.Equal(t, s.UID != 1, len(s.Monitors) == 1, s.ID)
	}
}

// listed is a resolver of sessions that stay.
type listed []*shadow.Session

func (l listed) Session(_ context.Context, id string) (*shadow.Session, error) {
	for _, s := range l {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, &shadow.End{Reason: shadow.NoSession}
}

func (l listed) Sessions(context.Context) ([]*shadow.Session, error) { return l, nil }

// tellingSource is a monitorSource whose connections have something to say.
type tellingSource struct {
	monitorSource
	opened chan string // the monitors that were asked for
	notes  chan shadow.Note
}

type tellingConn struct {
	net.Conn
	shadow.Ender
	notes chan shadow.Note
}

func (c *tellingConn) Notes() <-chan shadow.Note { return c.notes }

func (s *tellingSource) Open(ctx context.Context, session *shadow.Session) (net.Conn, error) {
	conn, err := s.monitorSource.Open(ctx, session)
	if err != nil {
		return nil, err
	}
	s.opened <- session.Monitor
	return &tellingConn{conn, conn.(shadow.Ender), s.notes}, nil
}

// A source that shows another part of the screen has the audit say so, and the log has the rest; a source that
// talks without end has a few lines of each.
func TestWhatASourceSays(t *testing.T) {
	from := &tellingSource{opened: make(chan string, 9), notes: make(chan shadow.Note, 1000)}
	var logged log
	h := start(t, shadow.Config{Source: from, Logger: zerolog.New(&logged)})
	g := h.granted(t, "s1", "alice")
	for range 50 { // however much the log is told, the audit has what matters
		from.notes <- shadow.Note{Text: "the X server lacks something"}
	}
	from.notes <- shadow.Note{Text: "now shown: the whole screen", Changed: true}
	v := view(t, g.URL)
	v.update()
	e := h.until(t, shadow.EventChanged)
	assert.Equal(t, "now shown: the whole screen", e.Detail)
	assert.Equal(t, g.ID, e.ID)
	assert.Equal(t, "alice", e.Admin)
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "the source says: the X server lacks something") }, patience, time.Millisecond)
	for range 900 {
		from.notes <- shadow.Note{Text: "again", Changed: true}
	}
	require.Eventually(t, func() bool { return len(from.notes) == 0 }, patience, time.Millisecond)
	close(from.notes) // says no more
	v.update()
	require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
	n := 0
	for e := range h.events {
		if e.Type == shadow.EventChanged {
			n++
		}
		if e.Type == shadow.EventEnded {
			break
		}
	}
	assert.Less(t, n, 20)
}

// The number of a monitor is its place when the request is made; from then on its name counts.
func TestMonitorByNumber(t *testing.T) {
	from := &tellingSource{opened: make(chan string, 9)}
	h := start(t, shadow.Config{Source: from})
	for asked, want := range map[string]string{"": "", "2": "DP-2", "DP-1": "DP-1", "7": "7"} {
		g, err := h.Shadow(t.Context(), shadow.Request{Session: "s1", Admin: "alice", Monitor: asked})
		require.NoError(t, err)
		assert.Equal(t, want, <-from.opened)
		require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
	}
}
