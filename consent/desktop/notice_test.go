package desktop

import (
	"context"
	"image"
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
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

// The user who doesn't want to be viewed says so at once.
func TestNoticeStops(t *testing.T) {
	t.Parallel()
	d := told(t, bare, time.Minute)
	require.Eventually(t, func() bool { d.click(d.allow); return len(d.answer) > 0 }, 4*time.Second, 700*time.Millisecond)
	d.expect(consent.Denied)
	assert.Less(t, time.Since(d.asked), consent.NoticeTime, "else it would have been seen")

	d = told(t, bare, time.Minute)
	require.Eventually(t, func() bool { d.key("Escape"); return len(d.answer) > 0 }, 4*time.Second, 700*time.Millisecond)
	d.expect(consent.Denied)
}
