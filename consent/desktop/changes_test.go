package desktop

import (
	"errors"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"slices"
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
func (d *desk) watched(r consent.Request) (changes chan consent.View, wishes chan consent.Wish, stopped <-chan struct{}, end func()) {
	d.t.Helper()
	changes, wishes = make(chan consent.View), make(chan consent.Wish, 9)
	r.Changes, r.Wish = changes, func(w consent.Wish) { wishes <- w }
	s := showing(d.ctx, quick, r)
	return changes, wishes, s.Stopped(), func() {
		s.Close()
		<-s.Done()
		assert.True(d.t, s.Err() == nil || errors.Is(s.Err(), consent.ErrStopped), "%v", s.Err())
		require.NoError(d.t, d.WaitNoWindow(d.ctx, "banner"))
	}
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
		return before != nil && difference(before, img, 4) <= few && strings.Contains(d.title(), words) // seconds may go by in it
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
	d.click(d.middle(img, slate))             // a double click is one
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

	changes <- consent.View{State: consent.Away, Until: time.Now().Add(39999 * time.Second)}
	img = d.titled("was cut off and may return for 39", red)
	assert.False(t, holds(img, img.Rect, slate), "there is nothing to pause")
	first := d.title()
	eventually(t, func() bool { now := d.title(); return now != "" && now != first }, "the seconds don't go by")
	d.click(d.middle(d.titled("was cut off", red), red))
	take(t, stopped)
	assert.Empty(t, wishes)
}

// What the user presses is what the button said: in another state it means nothing, and never the opposite.
func TestWishOfAnotherState(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		word  string // of the child
		state consent.ViewState
		want  []consent.Wish
	}{
		"pauses":               {"pause", consent.Viewing, []consent.Wish{consent.Pause}},
		"pauses what has":      {"pause", consent.Paused, nil},
		"resumes":              {"resume", consent.Paused, []consent.Wish{consent.Resume}},
		"resumes what goes on": {"resume", consent.Viewing, nil},
		"resumes who is away":  {"resume", consent.Away, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := filepath.Join(t.TempDir(), "heard")
			changes := make(chan consent.View)
			r, got := self(), []consent.Wish(nil)
			r.Changes, r.Wish = changes, func(w consent.Wish) {
				if len(got) == 0 { // the child repeats it until it was heard
					assert.NoError(t, os.WriteFile(heard, nil, 0o600))
				}
				got = append(got, w)
			}
			go func() { changes <- consent.View{State: c.state, Until: time.Now().Add(time.Hour)} }()
			says, until := "echo "+c.word+"; sleep 0.1; ", "[ -e "+heard+" ]"
			script := "for i in 1 2 3 4 5; do " + says + "done; "
			if c.want != nil {
				script = "until " + until + "; do " + says + "done; "
			}
			err := shown(t, X11{Command: sh("read q; echo shown; read q; " + script + "echo stopped; read why; echo over")}, r)
			require.ErrorIs(t, err, consent.ErrStopped)
			assert.Equal(t, c.want, slices.Compact(got))
		})
	}
}

// A Pause that nobody has taken yet stays, whatever is said after it.
func TestPauseComesFirst(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]consent.Wish{
		"pause\nresume\n": consent.Pause, "resume\npause\n": consent.Pause, "resume\nresume\n": consent.Resume,
	} {
		c := newBannerTranscript()
		_, err := c.Write([]byte("shown\n" + said))
		require.NoError(t, err)
		assert.Equal(t, want, take(t, c.wished), "%q", said)
		assert.Empty(t, c.wished)
	}
	_, err := newBannerTranscript().Write([]byte("pause\n"))
	require.ErrorContains(t, err, "broke the protocol", "nothing is there to be pressed")
}

// What a banner can say besides, in every language, and without a pause.
func TestPicturesOfPauses(t *testing.T) {
	t.Parallel()
	scales(t, 800, func(t *testing.T, d *desk, scale int, named func(string) string) {
		eye := image.Rect(0, 0, 40*scale, 200*scale)
		for language, locale := range spoken {
			r := request(d.Desktop)
			r.Locale = locale
			changes, _, _, end := d.watched(r)
			like(t, named("pause-"+language), d.titled("", slate), 4*scale, few, nil)
			changes <- consent.View{State: consent.Paused}
			var img *image.RGBA
			eventually(t, func() bool {
				img = d.titled("", slate)
				return !holds(img, eye, red)
			}, "no pause")
			like(t, named("paused-"+language), img, 4*scale, few, nil)
			changes <- consent.View{State: consent.Away, Until: time.Now().Add(88888 * time.Second)} // of which no digit changes in time
			eventually(t, func() bool { img = d.titled("", red); return !holds(img, img.Rect, slate) }, "nobody is away")
			like(t, named("away-"+language), img, 4*scale, few, nil)
			if *update && language == "en" && scale == 1 { // for the documentation, where seconds that could be are better
				changes <- consent.View{State: consent.Away, Until: time.Now().Add(28 * time.Second)}
				eventually(t, func() bool { return difference(d.titled("", red), img, 4*scale) > few }, "the seconds are as they were")
				like(t, "example-away-en", d.titled("", red), 4*scale, few, nil)
			}
			end()
		}
	})
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

// Where Pause has room and Resume, which is wider, hasn't, the banner becomes smaller for it and stays on the screen.
func TestBannerWithAWiderButton(t *testing.T) {
	t.Parallel()
	d := gallery(t, 1, testhost.Options{Width: 320, Height: 240})
	r := request(d.Desktop)
	r.Locale = "fr_FR.UTF-8"
	changes, wishes, _, end := d.watched(r)
	defer end()
	within := func() bool {
		return d.win.X >= 0 && d.win.Y >= 0 && d.win.X+d.win.Width <= 320 && d.win.Y+d.win.Height <= 240
	}
	d.titled("voit votre", slate)
	before := d.win
	assert.True(t, within(), "%v", d.win)
	changes <- consent.View{State: consent.Paused}
	img := d.titled("En pause", slate)
	for d.win.Width == before.Width { // the picture from before, with the new title
		require.NoError(t, d.ctx.Err(), "it never changed")
		img = d.titled("En pause", slate)
	}
	eventually(t, func() bool { img = d.titled("En pause", slate); return within() }, "it isn't on the screen") // it comes to its place after that
	assert.Less(t, d.win.Height, before.Height, "or there was room, and the test means nothing")
	resume := d.middle(img, slate)
	eventually(t, func() bool { d.click(resume); return len(wishes) > 0 }, "Resume is never heard") // not at once, see settleTime
	assert.Equal(t, consent.Resume, take(t, wishes))
}
