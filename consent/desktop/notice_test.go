package desktop

import (
	"context"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// told shows a notice to the user of a fresh desktop and returns when its window is there.
func told(t *testing.T, o testhost.Options, timeout time.Duration) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	d := &desk{Desktop: testhost.Require(t, o), t: t, ctx: ctx, answer: make(chan func() (consent.Decision, error), 1)}
	r := request(d.Desktop)
	r.Timeout, r.Basis = timeout, consent.ByNotice
	d.asked = time.Now()
	go func() {
		got, err := quick.Announce(context.Background(), r)
		d.answer <- func() (consent.Decision, error) { return got, err }
	}()
	var err error
	d.win, err = d.FindWindow(ctx, "consent")
	require.NoError(t, err)
	return d
}

// ready1 waits until the one button of a notice has come alive.
func (d *desk) ready1() {
	d.t.Helper()
	eventually(d.t, func() bool {
		img, ok := d.look("consent", false)
		return ok && holds(img, image.Rect(0, img.Rect.Max.Y-60, img.Rect.Max.X, img.Rect.Max.Y), accent)
	}, "the button never came alive")
}

// A notice that was seen for five seconds is enough, and not less. Nothing that the user types makes it shorter.
func TestNoticeIsSeen(t *testing.T) {
	both(t, func(t *testing.T, o testhost.Options) {
		d := told(t, o, time.Minute)
		d.ready1()
		d.key("Tab")
		d.key("Right", "y") // there is nothing to go to
		d.expect(consent.Granted)
		assert.GreaterOrEqual(t, time.Since(d.asked), consent.NoticeTime)
	})
}

// While something covers it the notice isn't seen.
func TestNoticeThatIsCovered(t *testing.T) {
	t.Parallel()
	d := told(t, bare, 8*time.Second)
	d.spawn("fight")
	d.expect(consent.TimedOut)
}

// The user who doesn't want to be viewed says so at once. On a machine on which that takes longer than a notice has to be
// seen it is tried again.
func TestNoticeStops(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*desk){
		"click":  func(d *desk) { d.click(d.allow) },
		"Escape": func(d *desk) { d.key("Escape") },
	} {
		answered := false
		for range 20 {
			d := told(t, bare, time.Minute)
			require.Eventually(t, func() bool { stop(d); return len(d.answer) > 0 }, 5*time.Minute, 700*time.Millisecond)
			if answered = time.Since(d.asked) < consent.NoticeTime; answered {
				d.expect(consent.Denied)
				break
			}
			<-d.answer
		}
		require.True(t, answered, "%s never came in time", name)
	}
}

// A question whose silence is a Yes must have been in view as a notice must: no silence counts of a user
// for whom it was there for a moment only, or covered.
func TestSilenceIsSeen(t *testing.T) {
	t.Parallel()
	silent := func(shown *bool, timeout time.Duration) func(r *consent.Request) {
		return func(r *consent.Request) {
			r.Timeout, r.SilenceAllows, r.Shown = timeout, true, func() { *shown = true }
		}
	}
	t.Run("moment", func(t *testing.T) {
		t.Parallel()
		var shown bool
		d := put(t, bare, nil, silent(&shown, consent.NoticeTime-time.Second))
		d.expect(consent.TimedOut)
		assert.False(t, shown)
	})
	t.Run("covered", func(t *testing.T) {
		t.Parallel()
		var shown bool
		d := put(t, bare, nil, silent(&shown, consent.NoticeTime+3*time.Second))
		d.spawn("fight")
		d.expect(consent.TimedOut)
		assert.False(t, shown)
	})
	t.Run("cut", func(t *testing.T) {
		t.Parallel()
		var shown bool
		d := put(t, bare, nil, silent(&shown, consent.NoticeTime+3*time.Second))
		_, err := d.Spawn("/proc/self/exe", hostileArg, "keep cutting", strconv.Itoa(int(d.win.ID)))
		require.NoError(t, err)
		d.expect(consent.TimedOut)
		assert.False(t, shown)
	})
	t.Run("seen", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		d := testhost.Require(t, bare)
		dir, err := os.MkdirTemp("", "seen-") // t.TempDir is the tester's alone
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
		require.NoError(t, os.Chmod(dir, 0o777))
		shown, said := false, filepath.Join(dir, "said")
		r := request(d)
		silent(&shown, time.Minute)(&r)
		p := X11{Command: append([]string{"sh", "-c", `"$@" | tee ` + said, "sh"}, quick.Command...)}
		done, begun := make(chan struct{}), time.Now()
		go func() {
			defer close(done)
			got, err := p.Ask(ctx, r)
			assert.NoError(t, err)
			assert.Equal(t, consent.Denied, got)
		}()
		eventually(t, func() bool { b, _ := os.ReadFile(said); return strings.HasPrefix(string(b), "shown\nseen\n") }, "it was never seen")
		assert.GreaterOrEqual(t, time.Since(begun), consent.NoticeTime)
		require.NoError(t, d.Key(ctx, "Escape"))
		take(t, done)
		assert.True(t, shown)
	})
}
