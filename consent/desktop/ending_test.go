package desktop

import (
	"context"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

func TestClosed(t *testing.T) {
	t.Parallel()
	t.Run("by the window manager", func(t *testing.T) {
		d := put(t, managed, nil)
		// What a taskbar's Close does: openbox sends WM_DELETE_WINDOW.
		d.key("alt+F4")
		d.expect(consent.Closed)
	})
	t.Run("destroyed", func(t *testing.T) {
		d := put(t, bare, nil)
		d.hostile("destroy")
		d.expect(consent.Closed)
	})
	t.Run("connection killed", func(t *testing.T) {
		d := put(t, managed, nil)
		d.run("xkill", "-id", strconv.Itoa(int(d.win.ID)))
		d.expect(consent.Closed)
	})
}

func TestSilence(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := newDesk(t, o, nil)
		var pid int
		d.silence(func() (err error) { pid, err = d.findPID(); return err })
		testhost.RequireGone(t, pid)
	})
}

func TestGivenUpWhileShown(t *testing.T) {
	t.Parallel()
	host := testhost.Require(t, bare)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := quick.Ask(ctx, request(host))
		done <- err
	}()
	_, err := host.FindWindow(t.Context(), "consent")
	require.NoError(t, err)
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)
	assert.NoError(t, host.WaitNoWindow(t.Context(), "consent"))
}

func TestServerGone(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o testhost.Options) {
		d := put(t, o, nil)
		pid := d.pid()
		d.Kill()
		got, err := d.result()
		assert.ErrorIs(t, err, consent.ErrGone)
		assert.Equal(t, consent.Denied, got)
		testhost.RequireGone(t, pid)
	})
}

func TestChildKilled(t *testing.T) {
	t.Parallel()
	d := put(t, bare, nil)
	pid := d.pid()
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	got, err := d.result()
	assert.ErrorContains(t, err, "without an answer (signal: killed)")
	assert.Equal(t, consent.Denied, got)
	testhost.RequireGone(t, pid)
}

// A child that is stopped can't even see that time is up.
func TestChildFrozen(t *testing.T) {
	t.Parallel()
	d := newDesk(t, bare, nil)
	var pid int
	d.silence(func() (err error) {
		if pid, err = d.findPID(); err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		return err
	})
	testhost.RequireGone(t, pid)
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	a, b := put(t, managed, nil), put(t, bare, nil)
	a.ready().click(a.allow)
	a.expect(consent.Granted)
	b.unanswered()
	b.ready().click(b.deny)
	b.expect(consent.Denied)
}
