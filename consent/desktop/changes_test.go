package desktop

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// watched shows a banner that can be changed, and says what the user wishes.
func (d *desk) watched(r consent.Request) (changes chan consent.View, wishes chan consent.Wish, stopped chan struct{}, end func()) {
	d.t.Helper()
	changes, wishes, stopped = make(chan consent.View), make(chan consent.Wish, 9), make(chan struct{})
	ended, done := make(chan string), make(chan struct{})
	r.Changes, r.Wish = changes, func(w consent.Wish) { wishes <- w }
	go func() {
		defer close(done)
		err := quick.Show(d.ctx, r, ended, func() { close(stopped) })
		assert.True(d.t, err == nil || errors.Is(err, consent.ErrStopped), "%v", err)
	}()
	return changes, wishes, stopped, func() { close(ended); <-done; require.NoError(d.t, d.WaitNoWindow(d.ctx, "banner")) }
}

// titled waits for a banner whose title holds some words, with a picture that holds a colour and stays.
func (d *desk) titled(words string, c color.RGBA) *image.RGBA {
	d.t.Helper()
	var img, before *image.RGBA
	eventually(d.t, func() bool {
		var ok bool
		before = img
		if img, ok = d.look("banner", false); !ok || !holds(img, img.Rect, c) {
			return false
		}
		return before != nil && bytes.Equal(before.Pix, img.Pix) && strings.Contains(d.title(), words)
	}, "no banner that says "+words)
	return img
}

// title is the window's.
func (d *desk) title() string {
	name, _ := d.Run(d.ctx, "xprop", "-notype", "-id", strconv.Itoa(int(d.win.ID)), "_NET_WM_NAME")
	return string(name)
}

var (
	red   = color.RGBA{0xd9, 0x3a, 0x2b, 0xff} // Stop
	slate = color.RGBA{0x4a, 0x57, 0x64, 0xff} // Pause
)

// middle is the middle of what has a colour in the window, on the screen.
func (d *desk) middle(img *image.RGBA, c color.RGBA) func() (x, y int) {
	var part image.Rectangle
	for y := range img.Rect.Dy() {
		for x := img.Rect.Dx() / 2; x < img.Rect.Dx(); x++ {
			if img.RGBAAt(x, y) == c {
				part = part.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	at := part.Min.Add(part.Size().Div(2)).Add(image.Pt(d.win.X, d.win.Y))
	return func() (int, int) { return at.X, at.Y }
}

// The user pauses the viewing and lets it go on; what the banner says is what it is told, also when it
// has to begin anew.
func TestBannerPauses(t *testing.T) {
	t.Parallel()
	d := gallery(t, 1, testhost.Options{Width: 640, Height: 480})
	changes, wishes, stopped, end := d.watched(request(d.Desktop))
	defer end()
	img := d.titled("is viewing", slate)
	d.click(d.middle(img, slate))
	require.NoError(t, d.Move(d.ctx, 1, 470)) // or the button would look pointed at
	assert.Equal(t, consent.Pause, take(t, wishes))
	d.titled("is viewing", slate) // nothing is paused yet

	changes <- consent.View{State: consent.Paused}
	img = d.titled("Paused", slate)
	assert.False(t, holds(img, image.Rect(0, 0, 40, img.Rect.Max.Y), red), "the eye is closed")
	require.NoError(t, syscall.Kill(d.pid(), syscall.SIGKILL))
	img = d.titled("Paused", slate)
	d.click(d.middle(img, slate))
	require.NoError(t, d.Move(d.ctx, 1, 470)) // or the button would look pointed at
	assert.Equal(t, consent.Resume, take(t, wishes))
	changes <- consent.View{}
	d.titled("is viewing", slate)

	changes <- consent.View{State: consent.Away, Until: time.Now().Add(40 * time.Second)}
	img = d.titled("was cut off and may return for 3", red)
	assert.False(t, holds(img, img.Rect, slate), "there is nothing to pause")
	first := d.title()
	eventually(t, func() bool { now := d.title(); return now != "" && now != first }, "the seconds don't go by")
	d.click(d.middle(d.titled("was cut off", red), red))
	take(t, stopped)
	assert.Empty(t, wishes)
}

// What a banner can say besides, in every language, and without a pause.
func TestPicturesOfPauses(t *testing.T) {
	t.Parallel()
	d := gallery(t, 1, testhost.Options{Width: 800, Height: 480})
	for language, locale := range spoken {
		r := request(d.Desktop)
		r.Locale = locale
		changes, _, _, end := d.watched(r)
		like(t, "pause-"+language, d.titled("", slate), 4, few, nil)
		changes <- consent.View{State: consent.Paused}
		var img *image.RGBA
		eventually(t, func() bool {
			img = d.titled("", slate)
			return !holds(img, image.Rect(0, 0, 40, img.Rect.Max.Y), red)
		}, "no pause")
		like(t, "paused-"+language, img, 4, few, nil)
		changes <- consent.View{State: consent.Away, Until: time.Now().Add(88888 * time.Second)} // of which no digit changes in time
		eventually(t, func() bool { img = d.titled("", red); return !holds(img, img.Rect, slate) }, "nobody is away")
		like(t, "away-"+language, img, 4, few, nil)
		end()
	}
}

func take[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}
