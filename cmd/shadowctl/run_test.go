package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/host/xprobe"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/source/capture"
)

func TestMain(m *testing.M) {
	xprobe.Child()
	capture.Child()
	goleak.VerifyTestMain(m)
}

// patience bounds every wait for something that should happen at once.
const patience = testenv.Patience

// A fakeEngine is a daemon's engine that does what its fields say.
type fakeEngine struct {
	answer   func(context.Context, shadow.Request) (*shadow.Grant, error)
	sessions []*shadow.Session
	list     []shadow.Status
	rules    policy.Rules

	mu      sync.Mutex
	events  []chan shadow.Event
	stopped []string
}

func (f *fakeEngine) Shadow(ctx context.Context, r shadow.Request) (*shadow.Grant, error) {
	return f.answer(ctx, r)
}
func (f *fakeEngine) List() []shadow.Status                               { return f.list }
func (f *fakeEngine) Get(string) (shadow.Status, bool)                    { return shadow.Status{}, false }
func (f *fakeEngine) Sessions(context.Context) ([]*shadow.Session, error) { return f.sessions, nil }

func (f *fakeEngine) Stop(_ context.Context, id string, _ shadow.Reason) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id != "ab12" {
		return shadow.ErrNotFound
	}
	f.stopped = append(f.stopped, id)
	return nil
}

func (f *fakeEngine) Rules() policy.Rules { return f.rules }

func (f *fakeEngine) Judge(_ context.Context, r shadow.Request) (policy.Verdict, error) {
	return f.rules.Decide(policy.Request{Admin: r.Admin, Account: r.Account, Groups: r.Groups, Session: r.Session}), nil
}

func (f *fakeEngine) stops() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopped
}

func (f *fakeEngine) Subscribe(ctx context.Context) <-chan shadow.Event {
	c := make(chan shadow.Event, 16)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, c)
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, other := range f.events {
			if other == c {
				f.events = append(f.events[:i:i], f.events[i+1:]...)
				close(c)
			}
		}
	})
	return c
}

func (f *fakeEngine) send(events ...shadow.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		for _, c := range f.events {
			c <- e
		}
	}
}

// daemon serves e and returns its socket.
func daemon(t *testing.T, e *fakeEngine) string { return daemonWith(t, e, server.Options{}) }

// daemonWith is daemon with more.
func daemonWith(t *testing.T, e *fakeEngine, o server.Options) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "control.sock")
	ln, err := server.Listen(socket, "")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, ln, server.NewHandler(e, o)) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})
	return socket
}

// result is what a run of shadowctl did.
type result struct {
	status         int
	stdout, stderr string
}

func shadowctl(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := run(ctx, "shadowctl", args, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

func granted(context.Context, shadow.Request) (*shadow.Grant, error) {
	return &shadow.Grant{
		ID: "ab12", Session: "42", Admin: "a", URL: "ws://vda1.corp:6001/websockify?token=t&x", Scheme: "ws",
		Host: "vda1.corp", Port: 6001, Token: "t", Expires: time.Unix(0, 0).UTC(),
	}, nil
}

func refused(reason shadow.Reason, detail string) func(context.Context, shadow.Request) (*shadow.Grant, error) {
	return func(context.Context, shadow.Request) (*shadow.Grant, error) {
		return nil, &shadow.End{Reason: reason, Detail: detail}
	}
}

// It works on the kernels that are supported, without what came after Linux 3.10.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(Shadow|Events|Stop|CtxregWrites|Doctor)$", 5*time.Minute)
}

func TestShadow(t *testing.T) {
	var asked shadow.Request
	socket := daemon(t, &fakeEngine{answer: func(ctx context.Context, r shadow.Request) (*shadow.Grant, error) {
		asked = r
		return granted(ctx, r)
	}})
	r := shadowctl(t.Context(), "--socket", socket, "shadow", "42", "--admin", `CORP\alice`, "--client", "10.0.0.7",
		"--purpose", "INC-1 flickers", "--group", "a", "--group", "b, c", "--monitor", "2")
	asked.Account = "" // who runs the test
	assert.Equal(t, shadow.Request{Session: "42", Admin: `CORP\alice`, Client: "10.0.0.7", Purpose: "INC-1 flickers", Monitor: "2", Groups: []string{"a", "b, c"}}, asked)
	assert.Equal(t, result{0, "ws://vda1.corp:6001/websockify?token=t&x\n", ""}, r)

	r = shadowctl(t.Context(), "shadow", "42", "--admin", "a", "--json", "--socket", socket)
	assert.Equal(t, exitDone, r.status)
	assert.Equal(t, `{"id":"ab12","session":"42","admin":"a","url":"ws://vda1.corp:6001/websockify?token=t&x","scheme":"ws",`+
		`"host":"vda1.corp","port":6001,"token":"t","expires":"1970-01-01T00:00:00Z"}`+"\n", r.stdout)
}

func TestShadowRefused(t *testing.T) {
	e := &fakeEngine{answer: refused(shadow.TLSConfig, "shadowingkey.* is missing")}
	socket := daemon(t, e)
	r := shadowctl(t.Context(), "--socket", socket, "shadow", "42", "--admin", "a")
	assert.Equal(t, exitRefused, r.status)
	assert.Empty(t, r.stdout)
	assert.Contains(t, r.stderr, "shadowctl: refused (tls_config): the certificate for wss can't be used: shadowingkey.* is missing\n")

	r = shadowctl(t.Context(), "--socket", socket, "--json", "shadow", "42", "--admin", "a")
	assert.Equal(t, exitRefused, r.status)
	assert.Equal(t, `{"reason":"tls_config","detail":"shadowingkey.* is missing"}`+"\n", r.stdout)

	e.answer = refused(shadow.Denied, "")
	r = shadowctl(t.Context(), "--socket", socket, "--json", "shadow", "42", "--admin", "a")
	assert.Equal(t, `{"reason":"denied"}`+"\n", r.stdout)
	assert.Contains(t, r.stderr, "refused (denied): the user said No\n")
}

func TestWaitViewer(t *testing.T) {
	e := &fakeEngine{}
	// The events come before the answer does: none may be missed.
	answer := func(events ...shadow.Event) func(context.Context, shadow.Request) (*shadow.Grant, error) {
		return func(ctx context.Context, r shadow.Request) (*shadow.Grant, error) {
			e.send(events...)
			return granted(ctx, r)
		}
	}
	socket := daemon(t, e)
	args := []string{"--socket", socket, "--json", "shadow", "42", "--admin", "a", "--wait-viewer"}

	e.answer = answer(
		shadow.Event{Type: shadow.EventGranted, ID: "ab12"},
		shadow.Event{Type: shadow.EventEnded, ID: "other", Reason: shadow.ViewerAbsent},
		shadow.Event{Type: shadow.EventConnected, ID: "ab12"})
	r := shadowctl(t.Context(), args...)
	assert.Equal(t, exitDone, r.status, r.stderr)
	assert.Len(t, strings.Split(strings.TrimSpace(r.stdout), "\n"), 1)

	e.answer = answer(shadow.Event{Type: shadow.EventEnded, ID: "ab12", Reason: shadow.ViewerAbsent})
	r = shadowctl(t.Context(), args...)
	assert.Equal(t, exitRefused, r.status)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	require.Len(t, lines, 2)
	assert.Equal(t, `{"reason":"viewer_absent"}`, lines[1])
	assert.Contains(t, r.stderr, "ended before a viewer connected (viewer_absent): no viewer connected in time\n")
	assert.Empty(t, e.stops())
}

// Ctrl-C takes the question back.
func TestInterruptWhileAsking(t *testing.T) {
	asked, cancelled := make(chan struct{}), make(chan struct{})
	socket := daemon(t, &fakeEngine{answer: func(ctx context.Context, _ shadow.Request) (*shadow.Grant, error) {
		close(asked)
		<-ctx.Done()
		close(cancelled)
		return nil, &shadow.End{Reason: shadow.StoppedByAdmin}
	}})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	done := make(chan result, 1)
	go func() { done <- shadowctl(ctx, "--socket", socket, "shadow", "42", "--admin", "a") }()
	receive(t, asked)
	interrupt()
	r := receive(t, done)
	assert.Equal(t, exitFailed, r.status)
	assert.Contains(t, r.stderr, "shadowctl: interrupted\n")
	assert.Empty(t, r.stdout)
	receive(t, cancelled)
}

// Ctrl-C while the viewer is waited for ends the shadow.
func TestInterruptWhileWaiting(t *testing.T) {
	e := &fakeEngine{answer: granted}
	socket := daemon(t, e)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stdout := &watched{want: "token=t", seen: make(chan struct{})}
	done := make(chan int, 1)
	go func() {
		var stderr bytes.Buffer
		done <- run(ctx, "shadowctl", []string{"--socket", socket, "shadow", "42", "--admin", "a", "--wait-viewer"}, stdout, &stderr)
	}()
	receive(t, stdout.seen)
	interrupt()
	assert.Equal(t, exitFailed, receive(t, done))
	assert.Equal(t, []string{"ab12"}, e.stops())
}

// watched tells when a text has been written to it.
type watched struct {
	want string
	seen chan struct{}
	text string
}

func (w *watched) Write(p []byte) (int, error) {
	before := strings.Contains(w.text, w.want)
	w.text += string(p)
	if !before && strings.Contains(w.text, w.want) {
		close(w.seen)
	}
	return len(p), nil
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("not reached")
	}
}

func TestTables(t *testing.T) {
	e := &fakeEngine{}
	socket := daemon(t, e)
	assert.Equal(t, result{0, "No session is being shadowed.\n", ""}, shadowctl(t.Context(), "--socket", socket, "list"))
	assert.Equal(t, result{0, "There are no sessions on this host.\n", ""}, shadowctl(t.Context(), "--socket", socket, "sessions"))
	assert.Equal(t, result{0, `{"shadows":[]}` + "\n", ""}, shadowctl(t.Context(), "--socket", socket, "list", "--json"))
	assert.Equal(t, result{0, `{"sessions":[]}` + "\n", ""}, shadowctl(t.Context(), "--socket", socket, "sessions", "--json"))

	// An hour from now: "since" is never negative.
	e.list = []shadow.Status{
		{ID: "ab12", Session: "42", User: "user1", Admin: `CORP\alice`, State: shadow.Viewing, Port: 6001, Viewer: "10.0.0.7:51234", Since: time.Now().Add(time.Hour), Purpose: "INC-1 flickers"},
		{ID: "cd34", Session: "c2", User: "user2", Admin: "bob \x1b[2J\t", State: shadow.Prompting, Since: time.Now().Add(time.Hour)},
	}
	assert.Equal(t, strings.Join([]string{
		`ID     SESSION   USER    ADMIN        STATE       SINCE   PORT   VIEWER           PURPOSE`,
		`ab12   42        user1   CORP\alice   viewing     0s      6001   10.0.0.7:51234   INC-1 flickers`,
		"cd34   c2        user2   bob \uFFFD[2J\uFFFD    prompting   0s      -      -                -",
		``,
	}, "\n"), shadowctl(t.Context(), "--socket", socket, "list").stdout)

	e.sessions = []*shadow.Session{
		{ID: "42", User: "user1", UID: 1001, Display: ":1", Type: "x11", State: "active", Since: time.Unix(1_796_000_000, 0), Monitors: []shadow.Monitor{
			{Name: "DP-1", Width: 800, Height: 600, Primary: true}, {Name: "DP-2", X: 800, Width: 640, Height: 480},
		}},
		{ID: "c1", User: "gdm", Type: "wayland", Class: "greeter", State: "online"},
		{ID: "c2", User: "user2", Display: ":2", Locked: true},
	}
	assert.Equal(t, strings.Join([]string{
		`SESSION   USER    DISPLAY   TYPE      STATE    CAN BE SHADOWED`,
		`42        user1   :1        x11       active   yes; monitors: 1 DP-1 800x600, 2 DP-2 640x480`,
		`c1        gdm     -         wayland   online   no (wayland): the session isn't an X11 session: its type is "wayland"`,
		`c2        user2   :2        -         -        no (locked): the session is locked, so its user can't be asked`,
		``,
	}, "\n"), shadowctl(t.Context(), "--socket", socket, "sessions").stdout)

	var parsed struct{ Sessions []api.Session }
	require.NoError(t, json.Unmarshal([]byte(shadowctl(t.Context(), "--socket", socket, "sessions", "--json").stdout), &parsed))
	require.Len(t, parsed.Sessions, 3)
	assert.Equal(t, shadow.Wayland, parsed.Sessions[1].Reason)
	require.NotNil(t, parsed.Sessions[0].Since)
	assert.True(t, parsed.Sessions[0].Since.Equal(e.sessions[0].Since))
	assert.Nil(t, parsed.Sessions[1].Since, "it isn't known")
}

func TestStop(t *testing.T) {
	e := &fakeEngine{}
	socket := daemon(t, e)
	assert.Equal(t, result{}, shadowctl(t.Context(), "--socket", socket, "stop", "ab12"))
	assert.Equal(t, []string{"ab12"}, e.stops())
	r := shadowctl(t.Context(), "--socket", socket, "stop", "cd34")
	assert.Equal(t, exitFailed, r.status)
	assert.Equal(t, "shadowctl: there is no shadow \"cd34\", or it has ended\n", r.stderr)
}

func TestEvents(t *testing.T) {
	one := shadow.Event{Time: time.Unix(1767322984, 0), Type: shadow.EventEnded, ID: "ab12", Session: "42", User: "user1", Admin: "a\nb",
		Port: 6001, Viewer: "10.0.0.7:51234", Reason: shadow.ViewerLeft, Duration: 12.34, Sent: 1500}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"for people": {nil, one.Time.Local().Format(time.DateTime) + "  ended      ab12  session 42  admin a\uFFFDb  user user1  port 6001" +
			"  viewer 10.0.0.7:51234  viewed 12.3s  sent 1500 bytes  viewer_left: the viewer disconnected\n"},
		"JSON": {[]string{"--json"}, `"reason":"viewer_left","seconds":12.34,"sent":1500}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &fakeEngine{}
			socket := daemon(t, e)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			stdout := &watched{want: "viewer_left", seen: make(chan struct{})}
			var stderr bytes.Buffer
			done := make(chan int, 1)
			go func() {
				done <- run(ctx, "shadowctl", append(test.args, "--socket", socket, "events"), stdout, &stderr)
			}()
			// The metrics read the events, too.
			require.Eventually(t, func() bool {
				e.mu.Lock()
				defer e.mu.Unlock()
				return len(e.events) == 2
			}, patience, time.Millisecond)
			e.send(one)
			receive(t, stdout.seen)
			interrupt()
			assert.Equal(t, exitDone, receive(t, done), "Ctrl-C is how it ends")
			assert.Empty(t, stderr.String())
			assert.True(t, strings.HasSuffix(stdout.text, test.want), stdout.text)
			assert.Equal(t, 1, strings.Count(stdout.text, "\n"))
		})
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "a command is missing"},
		{"shadwo 42", `unknown command "shadwo"; did you mean shadow?`},
		{"xyzzy", `unknown command "xyzzy"`},
		{"ctxreg craete", `unknown command "craete"; did you mean create?`},
		{"--colour list", "unknown flag: --colour"},
		{"list 42", `unknown command "42" for "shadowctl list"`},
		{"shadow", "the session is missing"},
		{"shadow 42", "--admin NAME is missing"},
		{"shadow 42 43 --admin a", "one session, please"},
		{"shadow 42 --admin", "flag needs an argument: --admin"},
		{"stop", "one shadow's id is needed"},
		{"stop a b", "one shadow's id is needed"},
	} {
		r := shadowctl(t.Context(), strings.Fields(test.args)...)
		assert.Equal(t, usage.Status, r.status, test.args)
		assert.Contains(t, r.stderr, "shadowctl: "+test.want, test.args)
		assert.Contains(t, r.stderr, "Try 'shadowctl --help'.", test.args)
		assert.Empty(t, r.stdout, test.args)
	}
	for _, args := range []string{"--help", "shadow --help", "--version"} {
		r := shadowctl(t.Context(), strings.Fields(args)...)
		assert.Equal(t, exitDone, r.status, args)
		assert.NotEmpty(t, r.stdout, args)
	}
}

func TestUnreachable(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	for _, args := range []string{"list", "sessions", "events", "stop ab12", "shadow 42 --admin a", "shadow 42 --admin a --wait-viewer"} {
		r := shadowctl(t.Context(), append([]string{"--socket", socket}, strings.Fields(args)...)...)
		assert.Equal(t, exitUnreachable, r.status, args)
		assert.Contains(t, r.stderr, "shadowctl: shadowd is not reachable: there is no socket "+socket+"; is shadowd running?\n", args)
		assert.Empty(t, r.stdout, args)
	}
}
