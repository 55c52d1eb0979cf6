package e2e

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// desktop starts a session with a window manager and something to see in it.
func desktop(t testing.TB) *testhost.Desktop {
	t.Helper()
	if suite.lack != "" {
		testenv.Lack(t, "%s", suite.lack)
	}
	d := testhost.Require(t, testhost.Options{WindowManager: true})
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	return d
}

func userName(t testing.TB, uid uint32) string {
	t.Helper()
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	require.NoError(t, err)
	return u.Username
}

// question waits for the dialog in the session.
func question(t testing.TB, d *testhost.Desktop) testhost.Window {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := d.FindWindow(ctx, "consent")
	require.NoError(t, err, "no question in the session")
	return w
}

// calm is how long a user waits before trying again: a key that comes in the
// question's first half second, or right behind such a key, is ignored.
const calm = 900 * time.Millisecond

// press sends keys to the dialog until it is gone.
func press(t testing.TB, d *testhost.Desktop, keys ...string) {
	t.Helper()
	question(t, d)
	act(t, d, func(ctx context.Context) error { return d.Key(ctx, keys...) })
}

// act repeats what a user does until the dialog is gone.
func act(t testing.TB, d *testhost.Desktop, do func(context.Context) error) {
	t.Helper()
	eventually(t, "the question is answered", func() bool {
		if err := do(t.Context()); err != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(t.Context(), calm)
		defer cancel()
		return d.WaitNoWindow(ctx, "consent") == nil
	})
}

// yes answers as a user does: a click on Yes, and another if it came too early. With keys it would
// take a look at the focus between them, which may be elsewhere by the next on a busy machine.
func yes(t testing.TB, d *testhost.Desktop) {
	t.Helper()
	question(t, d)
	act(t, d, func(ctx context.Context) error {
		windows, err := d.Windows(ctx, "consent")
		if err != nil || len(windows) == 0 {
			return err
		}
		w := windows[0]
		return d.Click(ctx, w.X+w.Width-70, w.Y+w.Height-32)
	})
}

// focusYes moves the focus to Yes.
func focusYes(t testing.TB, d *testhost.Desktop) {
	t.Helper()
	w := question(t, d)
	eventually(t, "the focus moves to Yes", func() bool {
		require.NoError(t, d.Key(t.Context(), "Right"))
		for end := time.Now().Add(calm); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			screen, err := d.Screenshot(t.Context())
			require.NoError(t, err)
			// The button with the focus is blue; left of the word in it is nothing else.
			if c := screen.RGBAAt(w.X+w.Width-70-36, w.Y+w.Height-32); c.B > 128 && c.R < 64 {
				return true
			}
		}
		return false
	})
}

// grantWithYes asks for a session and lets its user say Yes.
func (d *daemon) grantWithYes(session, admin string, desktop *testhost.Desktop) *grantedShadow {
	d.t.Helper()
	r := d.ask(session, admin)
	yes(d.t, desktop)
	g := r.granted()
	return &grantedShadow{g.ID, g.URL, g.Page, g.Port, g.Token}
}

type grantedShadow struct {
	ID, URL, Page string
	Port          int
	Token         string
}

// shows waits until the tab's canvas equals the session's screen, to the pixel.
func (p *tab) shows(d *testhost.Desktop) { p.t.Helper(); p.compare(d, 0, 0) }

// resembles is shows for a screen with many colours in it, a window manager's
// shaded title bars for example: they may come as JPEG, so colours may be
// off by a little, and at edges, a thousandth of the screen, by more.
func (p *tab) resembles(d *testhost.Desktop) { p.t.Helper(); p.compare(d, 40, 1024*768/1000) }

// compare waits until at most few pixels have a channel that is off by more
// than tolerance.
func (p *tab) compare(d *testhost.Desktop, tolerance, few int) {
	p.t.Helper()
	var screen, canvas *image.RGBA
	deadline := time.Now().Add(patience)
	for {
		var err error
		screen, err = d.Screenshot(p.t.Context())
		require.NoError(p.t, err)
		canvas = p.canvas()
		if n := differences(screen, canvas, tolerance); n >= 0 && n <= few {
			return
		}
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	dir := os.Getenv("E2E_PICTURES") // where to leave both for a look
	if dir != "" {
		save(p.t, filepath.Join(dir, p.t.Name()+"-screen.png"), screen)
		save(p.t, filepath.Join(dir, p.t.Name()+"-canvas.png"), canvas)
	}
	require.Fail(p.t, "the canvas does not show the session", "%d pixels differ (E2E_PICTURES names a directory for both pictures)", differences(screen, canvas, tolerance))
}

func save(t testing.TB, file string, img image.Image) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
}

// differences is in how many pixels two pictures differ; -1 if their sizes do.
func differences(a, b *image.RGBA, tolerance int) (n int) {
	if a.Bounds().Size() != b.Bounds().Size() {
		return -1
	}
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p, q := a.RGBAAt(a.Rect.Min.X+x, a.Rect.Min.Y+y), b.RGBAAt(b.Rect.Min.X+x, b.Rect.Min.Y+y)
			if apart(p.R, q.R) > tolerance || apart(p.G, q.G) > tolerance || apart(p.B, q.B) > tolerance {
				n++
			}
		}
	}
	return n
}

func apart(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }
