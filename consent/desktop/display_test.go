package desktop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testnotify"
)

func TestChildIsTheUsers(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid()))
	require.NoError(t, err)
	uid := strconv.Itoa(int(d.Identity.UID))
	assert.Contains(t, string(status), "\nUid:\t"+uid+"\t"+uid+"\t"+uid+"\t"+uid+"\n")
	if os.Getuid() == 0 {
		assert.NotEqual(t, "0", uid, "the test means little as root's child")
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", d.pid()))
	require.NoError(t, err)
	assert.Equal(t, "DISPLAY="+d.Display+"\x00XAUTHORITY="+d.Xauthority+"\x00GORACE=atexit_sleep_ms=0\x00", string(env),
		"and what quick adds")
	d.ready().key("Escape")
	d.expect(consent.Denied)
}

func TestDisplayUnreachable(t *testing.T) {
	t.Parallel()
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120})
	right := request(d)
	wrong := filepath.Join(t.TempDir(), "cookie")
	require.NoError(t, os.WriteFile(wrong, []byte("\xff\xff\x00\x00\x00\x00\x00\x12MIT-MAGIC-COOKIE-1\x00\x100123456789abcdef"), 0o644))
	for name, change := range map[string]func(r *consent.Request){
		"no server":       func(r *consent.Request) { r.Display = ":64321" },
		"no display name": func(r *consent.Request) { r.Display = "nonsense" },
		"another host's":  func(r *consent.Request) { r.Display = "host:1" },
		"wrong cookie":    func(r *consent.Request) { r.Xauthority = wrong },
		"no such file":    func(r *consent.Request) { r.Xauthority = "/nonexistent/Xauthority" },
		"no cookie":       func(r *consent.Request) { r.Xauthority = "" },
	} {
		r := right
		change(&r)
		got, err := quick.Ask(t.Context(), r)
		assert.ErrorIs(t, err, consent.ErrDisplay, name)
		assert.Equal(t, consent.Denied, got, name)
	}
}

// Another user who listens where the session's X server should could press Yes.
// The fake is the best there is: a real X server, without any access control.
func TestServerOfAnotherUser(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	fake := testhost.Require(t, testhost.Options{Width: 640, Height: 480, Args: []string{"-ac"}, Identity: &child.Identity{UID: 5, GID: 60}})
	r := request(fake)
	r.UID, r.GID, r.Xauthority = 65534, 65534, "" // the victim
	got, err := quick.Ask(t.Context(), r)
	assert.ErrorIs(t, err, consent.ErrDisplay)
	assert.ErrorContains(t, err, "is uid 5's, and only root's or uid 65534's own would be trusted")
	assert.Equal(t, consent.Denied, got)

	// It doesn't get in the way of the real one either, whose own path it took.
	d := put(t, bare, func(d *desk) {
		path := "/tmp/.X11-unix/X" + strings.TrimPrefix(d.Display, ":")
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Symlink("/tmp/.X11-unix/X"+strings.TrimPrefix(fake.Display, ":"), path))
		t.Cleanup(func() { os.Remove(path) })
	})
	d.refuse()
}

// Root's X server may show anybody's session.
func TestServerOfRoot(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	d := testhost.Require(t, testhost.Options{Width: 640, Height: 480, Args: []string{"-ac"}, Identity: &child.Identity{Root: true}})
	r := request(d)
	r.UID, r.GID, r.Xauthority, r.Timeout = 65534, 65534, "", 2*time.Second
	got, err := quick.Ask(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, consent.TimedOut, got)
}

// Two daemons on one display: the second has no question beside the first's, and its turn when
// that is answered.
func TestOneQuestionPerDisplay(t *testing.T) {
	t.Parallel()
	d := put(t, testhost.Options{}, nil).ready()
	for range 2 {
		got, err := quick.Ask(d.ctx, request(d.Desktop))
		require.ErrorIs(t, err, consent.ErrBusy)
		assert.Equal(t, consent.Denied, got)
	}
	windows, err := d.Windows(d.ctx, "consent")
	require.NoError(t, err)
	assert.Len(t, windows, 1)
	d.key("Return")
	d.expect(consent.Denied)
	d.put()
	d.ready().key("Return")
	d.expect(consent.Denied)
}

// So it is however the two ask: a notification is a question, too. It is over when the display is.
func TestOneQuestionPerDisplayByNotification(t *testing.T) {
	t.Parallel()
	own := child.Own()
	d := put(t, testhost.Options{Identity: &own}, nil).ready()
	n := newNotifiedDesk(t)
	n.r.Display, n.r.Xauthority, n.r.Timeout = d.Display, d.Xauthority, time.Minute
	ask := func() (consent.Decision, error) { return Notify{Command: quick.Command}.Ask(d.ctx, n.r) }
	got, err := ask()
	require.ErrorIs(t, err, consent.ErrBusy)
	assert.Equal(t, consent.Denied, got)
	assert.Empty(t, n.Shown)
	d.key("Return")
	d.expect(consent.Denied)

	got, err = n.notified(t, d.ctx, func(note testnotify.Notification) {
		_, err := quick.Ask(d.ctx, request(d.Desktop))
		assert.ErrorIs(t, err, consent.ErrBusy)
		_, err = ask()
		assert.ErrorIs(t, err, consent.ErrBusy)
		n.Invoke(note.ID, "no")
	})
	require.NoError(t, err)
	assert.Equal(t, consent.Denied, got)

	got, err = n.notified(t, d.ctx, func(testnotify.Notification) { d.Kill() })
	require.ErrorIs(t, err, consent.ErrGone)
	assert.Equal(t, consent.Denied, got)
	next(t, n.Closed)
	_, err = ask()
	require.ErrorIs(t, err, consent.ErrDisplay)
}

// Nor does a program ask beside another question, and nobody beside it.
func TestOneQuestionPerDisplayByProgram(t *testing.T) {
	t.Parallel()
	d := put(t, testhost.Options{}, nil).ready()
	asks := func(do func(ctx context.Context) (consent.Decision, error), change ...func(r *consent.Request)) (consent.Decision, error) {
		program := func(ctx context.Context, _ consent.Request) (consent.Decision, error) { return do(ctx) }
		r := request(d.Desktop)
		for _, c := range change {
			c(&r)
		}
		return turnTaker{consent.Func(program), quick.Command}.Ask(d.ctx, r)
	}
	untouched := func(context.Context) (consent.Decision, error) {
		t.Error("a second question was put")
		return consent.Granted, nil
	}
	got, err := asks(untouched)
	require.ErrorIs(t, err, consent.ErrBusy)
	assert.Equal(t, consent.Denied, got)
	d.key("Return")
	d.expect(consent.Denied)

	got, err = asks(func(context.Context) (consent.Decision, error) {
		_, err := quick.Ask(d.ctx, request(d.Desktop))
		assert.ErrorIs(t, err, consent.ErrBusy)
		return consent.Granted, nil
	})
	require.NoError(t, err)
	assert.Equal(t, consent.Granted, got)
	d.put() // the turn is free again
	d.ready().key("Return")
	d.expect(consent.Denied)

	if os.Getuid() == 0 { // the X server is somebody else's
		_, err = asks(untouched, func(r *consent.Request) { r.UID, r.GID, r.Xauthority = 4711, 4711, "" })
		require.ErrorIs(t, err, consent.ErrDisplay)
		assert.ErrorContains(t, err, "another user")
	}
	got, err = asks(func(ctx context.Context) (consent.Decision, error) {
		d.Kill()
		<-ctx.Done()
		return consent.Granted, nil
	})
	require.ErrorIs(t, err, consent.ErrGone)
	assert.Equal(t, consent.Denied, got)

	// Where there is no X server a program may know another way.
	got, err = asks(func(context.Context) (consent.Decision, error) { return consent.Granted, nil })
	require.NoError(t, err)
	assert.Equal(t, consent.Granted, got)
}

// The question and the banner work on the kernels that the feature is documented for.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(ChildIsTheUsers|BannerStop)$", 5*time.Minute)
}
