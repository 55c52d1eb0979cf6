package gate_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
)

// follow follows a stream of rows. What it returns waits for a row's shadow in a state.
func follow(t *testing.T, c *testgate.Client, path string) func(session string, want shadow.State) gate.RowShadow {
	t.Helper()
	resp, err := c.Send(t.Context(), http.MethodGet, path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return func(session string, want shadow.State) gate.RowShadow {
		t.Helper()
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			var list gate.RowList
			require.NoError(t, json.Unmarshal([]byte(data), &list))
			for _, row := range list.Sessions {
				if strings.Contains(path, "session=") {
					require.Equal(t, session, row.Session.ID, "only one session's row is asked for")
				}
				if row.Session.ID == session && row.Shadow != nil && row.Shadow.State == want {
					return *row.Shadow
				}
			}
		}
		require.FailNow(t, "the stream ended")
		return gate.RowShadow{}
	}
}

// A row says whose view it is, and one row can be followed alone.
func TestRows(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{})
	up(t, g)
	alice, again := g.SignIn("alice"), g.SignIn("alice")
	one := follow(t, alice, "/api/v1/sessions/events?session="+testgate.Host+"/s1")
	other := follow(t, again, "/api/v1/sessions/events")
	_ = alice.Ask("s2")
	view := alice.Ask("s1")
	v := alice.View(view.ID)
	v.Picture()
	mine := one("s1", shadow.Viewing)
	require.Equal(t, view.ID, mine.ID)
	require.True(t, mine.Mine)
	require.False(t, mine.Paused)
	require.False(t, other("s1", shadow.Viewing).Mine, "another session of the same person's")
}

// A question hides no view that goes on: the row says who views, and who asks.
func TestRowOfAQuestionBesideAView(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	var asked atomic.Int64
	d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
		d.Answer = func(ctx context.Context, _ consent.Request) (consent.Decision, error) {
			if asked.Add(1) > 1 {
				select {
				case <-hold:
				case <-ctx.Done():
				}
			}
			return consent.Granted, nil
		}
	})
	g := testgate.New(t, d, testgate.Options{})
	t.Cleanup(func() { close(hold) })
	up(t, g)
	alice, helen := g.SignIn("alice"), g.SignIn("helen")
	view := alice.Ask("s1")
	alice.View(view.ID)
	go func() {
		if resp, err := helen.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"}); err == nil {
			_ = resp.Body.Close()
		}
	}()
	eventually(t, "helen asks", func() bool { return asked.Load() == 2 })
	var row gate.Row
	eventually(t, "the row has both", func() bool {
		var rows gate.RowList
		alice.Get("/api/v1/sessions", &rows)
		row = rows.Sessions[0]
		return row.Shadow != nil && row.Asking != nil
	})
	require.Equal(t, view.ID, row.Shadow.ID)
	require.True(t, row.Shadow.Mine)
	require.Equal(t, shadow.Viewing, row.Shadow.State)
	require.Equal(t, "helen", row.Asking.Admin)
	require.Equal(t, shadow.Prompting, row.Asking.State)
}
