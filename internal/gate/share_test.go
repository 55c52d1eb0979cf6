package gate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/activity"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
)

// Signing in again gives nobody more streams.
func TestStreamsOfOne(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	clients := []*testgate.Client{g.SignIn("alice"), g.SignIn("alice")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(c *testgate.Client) int {
		resp, err := c.Send(ctx, http.MethodGet, "/api/v1/sessions/events", nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp.StatusCode
	}
	for i := range gate.MaxStreamsOne {
		require.Equal(t, http.StatusOK, open(clients[i%2]))
	}
	require.Equal(t, http.StatusTooManyRequests, open(clients[0]))
	require.Equal(t, http.StatusTooManyRequests, open(clients[1]))
	require.Equal(t, http.StatusOK, open(g.SignIn("helen")))
}

// Who is signed out has no half of the activity that looks like all of it, and a person has two looks at a time.
func TestReading(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	alice := g.SignIn("alice")
	free := g.Gate.HoldReading("alice")
	refused(t, alice, http.MethodGet, "/api/v1/activity", nil, http.StatusTooManyRequests, "too_many")
	refused(t, g.SignIn("alice"), http.MethodGet, "/api/v1/activity?format=csv", nil, http.StatusTooManyRequests, "too_many")
	free()
	alice.Do(http.MethodGet, "/api/v1/activity", nil, http.StatusOK)
}

// A view that the gate knows to have ended isn't tried.
func TestViewOver(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	view := c.Ask("s1")
	g.Gate.SayOver(view.ID)
	closedWith(t, c, view.ID, 1000, "ended")
}

// An address without attempts is refused before it has sent a name.
func TestFullBeforeTheBody(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	for i, status := 0, 0; status != http.StatusTooManyRequests; i++ {
		require.Less(t, i, 100)
		resp, err := g.Client().Send(t.Context(), http.MethodPost, "/api/v1/signin", gate.Credentials{Name: fmt.Sprint("nobody", i), Password: "wrong"})
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		status = resp.StatusCode
	}
	c, err := net.Dial("tcp", g.Address())
	require.NoError(t, err)
	defer c.Close()
	_, err = fmt.Fprintf(c, "POST /api/v1/signin HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", g.Address())
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode, "not 400, for a body that doesn't come")
}

// An undecided host has users who don't answer.
type undecided struct {
	*hosts.Local
	asked chan struct{}
}

func (u *undecided) Ask(ctx context.Context, _ api.Request) (*api.Grant, error) {
	u.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Who asks for nothing over and over is refused by the gate, which asks the host no more, and others aren't.
func TestAskingForNothing(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	g.Gate.Tire(6)
	clients := []*testgate.Client{g.SignIn("alice"), g.SignIn("alice")}
	wish := gate.Wish{Host: testgate.Host, Session: "none"}
	for i := range 6 {
		refused(t, clients[i%2], http.MethodPost, "/api/v1/shadows", wish, http.StatusConflict, shadow.NoSession)
	}
	p := refused(t, clients[0], http.MethodPost, "/api/v1/shadows", wish, http.StatusTooManyRequests, "too_many")
	require.Positive(t, p.RetryAfter)
	refused(t, clients[1], http.MethodPost, "/api/v1/shadows", wish, http.StatusTooManyRequests, "too_many")
	g.SignIn("helen").Ask("s1")
}

// What else a person has hosts asked has a share, too, and a stop is never refused for that.
func TestCallsOfOne(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	g.Gate.Tire(6)
	clients := []*testgate.Client{g.SignIn("alice"), g.SignIn("alice")}
	view := clients[0].Ask("s1")
	wish := gate.Wish{Host: testgate.Host, Session: "s1"}
	for i := range 6 {
		clients[i%2].Do(http.MethodPost, "/api/v1/rules/test", wish, http.StatusOK)
		clients[i%2].Do(http.MethodGet, "/api/v1/shadows", nil, http.StatusOK)
	}
	for _, c := range clients {
		p := refused(t, c, http.MethodPost, "/api/v1/rules/test", wish, http.StatusTooManyRequests, "too_many")
		require.Positive(t, p.RetryAfter)
		refused(t, c, http.MethodGet, "/api/v1/rules?host="+testgate.Host, nil, http.StatusTooManyRequests, "too_many")
		refused(t, c, http.MethodPost, "/api/v1/shadows/"+view.ID+"/ticket", gate.TicketWish{For: "guacamole"}, http.StatusTooManyRequests, "too_many")
		refused(t, c, http.MethodGet, "/api/v1/shadows", nil, http.StatusTooManyRequests, "too_many")
		refused(t, c, http.MethodGet, "/api/v1/shadows/"+view.ID, nil, http.StatusTooManyRequests, "too_many")
	}
	g.SignIn("helen").Do(http.MethodPost, "/api/v1/rules/test", wish, http.StatusOK)
	clients[0].Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
}

// As many questions as one host may have open keep nobody from asking on another.
func TestQuestionsOfOneHost(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	full := &undecided{&hosts.Local{Client: d.Client, Called: "full"}, make(chan struct{})}
	g := testgate.New(t, d, testgate.Options{
		Hosts: []hosts.Host{full}, Gate: func(c *gate.Config) { c.Access = access.Table{{May: access.Rights()}} },
	})
	up(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, name := range []string{"alice", "helen", "nick"} {
		c := g.SignIn(name)
		for range gate.MaxAskedOne / 3 {
			go func() {
				if resp, err := c.Send(ctx, http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "full", Session: "s1"}); err == nil {
					_ = resp.Body.Close()
				}
			}()
		}
	}
	for i := range gate.MaxAskedOne {
		select {
		case <-full.asked:
		case <-time.After(testgate.Patience):
			require.FailNow(t, "a question has not reached the host", "after %d", i)
		}
	}
	_, token, err := (&signin.Tokens{Path: filepath.Join(g.Dir, "tokens")}).Add("olga", nil, time.Now().Add(time.Hour))
	require.NoError(t, err)
	olga := g.Client()
	olga.Header.Set("Authorization", "Bearer "+token)
	refused(t, olga, http.MethodPost, "/api/v1/shadows", gate.Wish{Host: "full", Session: "s1"}, http.StatusTooManyRequests, "too_many")
	olga.AskFor(gate.Wish{Host: testgate.Host, Session: "s1"})
}

// A file that hasn't all that was asked for says so in its last line.
func TestDownloadThatIsNotAll(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	alice := g.SignIn("alice")
	view := alice.Ask("s1")
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	var all gate.HappeningList
	eventually(t, "the activity has the end", func() bool {
		alice.Get("/api/v1/activity", &all)
		return len(all.Events) > 2 && all.Events[0].Type == shadow.EventEnded
	})
	for _, format := range []string{"csv", "jsonl"} {
		path := "/api/v1/activity?format=" + format
		g.Gate.LimitDownloads(len(all.Events))
		require.NotContains(t, string(alice.Do(http.MethodGet, path, nil, http.StatusOK)), "the file ends here")
		g.Gate.LimitDownloads(1)
		lines := strings.Split(strings.TrimSpace(string(alice.Do(http.MethodGet, path, nil, http.StatusOK))), "\n")
		require.Contains(t, lines[len(lines)-1], "the file ends here, after 1 events")
		require.Contains(t, lines[len(lines)-2], "ended")
	}
}

// slowActivity is one that is searched for ever, piece by piece.
type slowActivity struct{ reads chan struct{} }

func (slowActivity) Add(string, shadow.Event) error { return nil }

func (a slowActivity) Each(ctx context.Context, q activity.Query, _ func(activity.Record) bool) error {
	a.reads <- struct{}{}
	for q.Progress == nil || q.Progress("far down") {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// A page of the activity that takes long to find is what was found so far, with where to go on.
func TestLongSearch(t *testing.T) {
	t.Parallel()
	a := slowActivity{make(chan struct{}, 1)}
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{Gate: func(c *gate.Config) { c.Activity = a }})
	up(t, g)
	g.Gate.LimitSearches(10 * time.Millisecond)
	var list gate.HappeningList
	g.SignIn("alice").Get("/api/v1/activity", &list)
	require.Empty(t, list.Events)
	require.Equal(t, "far down", list.Next)
}

// Whoever reads most makes room for who has nothing.
func TestReadersMakeRoom(t *testing.T) {
	t.Parallel()
	a := slowActivity{make(chan struct{}, 16)}
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{Gate: func(c *gate.Config) {
		c.Activity, c.Access = a, access.Table{{May: access.Rights()}}
	}})
	up(t, g)
	ended := make(chan error, 16)
	for i := range 4 {
		_, token, err := (&signin.Tokens{Path: filepath.Join(g.Dir, "tokens")}).Add(fmt.Sprint("greedy", i), nil, time.Now().Add(time.Hour))
		require.NoError(t, err)
		c := g.Client()
		c.Header.Set("Authorization", "Bearer "+token)
		for range 2 {
			go func() {
				resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/activity?format=csv", nil)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				ended <- err
			}()
			<-a.reads
		}
	}
	g.Gate.LimitSearches(10 * time.Millisecond)
	var list gate.HappeningList
	g.SignIn("alice").Get("/api/v1/activity", &list)
	require.Equal(t, "far down", list.Next)
	require.Error(t, <-ended, "half a file doesn't look like a whole one")
	require.Empty(t, ended, "one is enough")
}
