package e2e

import (
	"context"
	"image"
	"os/user"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testhost"
)

// desktop starts a session with a window manager and something to see in it.
func desktop(t *testing.T) *testhost.Desktop {
	t.Helper()
	d := testhost.Require(t, testhost.Options{WindowManager: true})
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	return d
}

func userName(t *testing.T, uid uint32) string {
	t.Helper()
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	require.NoError(t, err)
	return u.Username
}

// question waits for the dialog in the session.
func question(t *testing.T, d *testhost.Desktop) testhost.Window {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := d.FindWindow(ctx, "consent")
	require.NoError(t, err, "no question in the session")
	return w
}

// press sends keys to the dialog until it is gone: for its first half second
// it takes no input.
func press(t *testing.T, d *testhost.Desktop, keys ...string) {
	t.Helper()
	question(t, d)
	act(t, d, func(ctx context.Context) error { return d.Key(ctx, keys...) })
}

// act repeats what a user does until the dialog is gone.
func act(t *testing.T, d *testhost.Desktop, do func(context.Context) error) {
	t.Helper()
	eventually(t, "the question is answered", func() bool {
		if err := do(t.Context()); err != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		return d.WaitNoWindow(ctx, "consent") == nil
	})
}

// yes answers as a user does: to the right, where Yes is, and Enter.
func yes(t *testing.T, d *testhost.Desktop) { t.Helper(); press(t, d, "Right", "Return") }

// grantWithYes asks for a session and lets its user say Yes.
func (d *daemon) grantWithYes(session, admin string, desktop *testhost.Desktop) *grantedShadow {
	d.t.Helper()
	r := d.ask(session, admin)
	yes(d.t, desktop)
	g := r.granted()
	return &grantedShadow{g.ID, g.URL, g.Port, g.Token}
}

type grantedShadow struct {
	ID, URL string
	Port    int
	Token   string
}

// shows waits until the tab's canvas equals the session's screen.
func (p *tab) shows(d *testhost.Desktop) {
	p.t.Helper()
	var different int
	eventually(p.t, "the canvas equals the session's pixels", func() bool {
		screen, err := d.Screenshot(p.t.Context())
		require.NoError(p.t, err)
		different = differences(screen, p.canvas())
		return different == 0
	})
}

// differences is in how many pixels two pictures differ; -1 if their sizes do.
func differences(a, b *image.RGBA) (n int) {
	if a.Bounds().Size() != b.Bounds().Size() {
		return -1
	}
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p, q := a.RGBAAt(a.Rect.Min.X+x, a.Rect.Min.Y+y), b.RGBAAt(b.Rect.Min.X+x, b.Rect.Min.Y+y)
			if p.R != q.R || p.G != q.G || p.B != q.B {
				n++
			}
		}
	}
	return n
}
