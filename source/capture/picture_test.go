package capture

import (
	"fmt"
	"image"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

// What has scrolled is copied at the viewer, and the picture is the screen's.
func TestScrollIsCopied(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 640, Height: 480})
	p := newPainter(t, d, image.Rect(37, 21, 37+500, 21+400))
	p.lines(0, 400)
	r := watch(t, d, []rfb.Encoding{rfb.EncodingCopyRect, rfb.EncodingRaw}, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	assert.Zero(t, r.copy, "there was nothing to copy from")
	for range 5 {
		before, bytes := r.copy, r.bytes
		p.scroll(26)
		r.settled(t, d)
		assert.Greater(t, r.copy, before, "nothing was copied")
		assert.Less(t, r.bytes-bytes, 500*400*4/2, "what had only moved was sent")
	}
	// Without CopyRect the same is sent.
	plain := watch(t, d, rawOnly, "--pointer=false")
	plain.ask(t, false)
	plain.update(t)
	p.scroll(26)
	plain.settled(t, d)
	assert.Zero(t, plain.copy)
}

// The pointer is in the picture, at its place and nowhere else, and pointer=false
// leaves it out.
func TestPointerIsPainted(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 400, Height: 300})
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	draw(t, d, "xsetroot -cursor_name crosshair")
	require.NoError(t, d.Move(t.Context(), 100, 100))
	r := watch(t, d, rawOnly)
	none := watch(t, d, rawOnly, "--pointer=false")
	for _, r := range []*running{r, none} {
		r.ask(t, false)
		r.update(t)
	}
	none.settled(t, d)
	want, err := d.Screenshot(t.Context())
	require.NoError(t, err)
	for _, at := range []image.Point{{100, 100}, {300, 200}, {0, 0}, {399, 299}, {200, 150}} {
		require.NoError(t, d.Move(t.Context(), at.X, at.Y))
		near := image.Rect(at.X-16, at.Y-16, at.X+17, at.Y+17)
		deadline := time.Now().Add(patience)
		for {
			n, where := r.wrong(want)
			if n > 0 && where.In(near) && at.In(where.Inset(-1)) {
				break
			}
			require.False(t, time.Now().After(deadline), "the pointer is at %v, and %d pixels differ in %v", at, n, where)
			r.ask(t, true)
			r.update(t)
		}
	}
	none.settled(t, d)
}

// A viewer that asked for PointerPos is told, and nothing is painted.
func TestPointerPos(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 400, Height: 300})
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	require.NoError(t, d.Move(t.Context(), 100, 100))
	r := watch(t, d, []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingCursor, rfb.EncodingPointerPos})
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	for _, at := range []image.Point{{101, 100}, {300, 200}} {
		require.NoError(t, d.Move(t.Context(), at.X, at.Y))
		for r.at != at {
			r.ask(t, true)
			assert.Empty(t, r.update(t), "pixels, although only the pointer has moved")
		}
	}
	assert.NotZero(t, r.cur.X, "no picture of the pointer")
	r.settled(t, d)
}

// A screen that changes its size is told, and sent anew; black parts, too.
func TestResize(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 800, Height: 600})
	require.NoError(t, d.SetRoot(t.Context(), "#000000"))
	for name, encodings := range map[string][]rfb.Encoding{
		"DesktopSize":         {rfb.EncodingRaw, rfb.EncodingDesktopSize},
		"ExtendedDesktopSize": {rfb.EncodingRaw, rfb.EncodingExtendedDesktopSize},
	} {
		t.Run(name, func(t *testing.T) {
			r := watch(t, d, encodings, "--pointer=false")
			r.ask(t, false)
			r.update(t)
			for _, size := range []string{"640x480", "333x222", "800x600", "640x481"} {
				_, _ = d.Run(t.Context(), "xrandr", "--fb", size) // says that it failed, and does it
				r.settled(t, d)
			}
		})
	}
	// One that was told and then doesn't want to be keeps its size, and can be told again.
	fickle := watch(t, d, []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingDesktopSize}, "--pointer=false")
	fickle.ask(t, false)
	fickle.update(t)
	for _, size := range []string{"800x600", "320x240", "640x481"} {
		fickle.say(t, &rfb.SetEncodings{Encodings: rawOnly})
		fickle.ask(t, false)
		fickle.update(t)
		_, _ = d.Run(t.Context(), "xrandr", "--fb", size)
		for range 3 {
			fickle.ask(t, false)
			fickle.update(t)
		}
		fickle.say(t, &rfb.SetEncodings{Encodings: []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingDesktopSize}})
		fickle.ask(t, true)
		fickle.update(t)
		fickle.settled(t, d)
	}
	// A viewer that can't be told keeps its size.
	_, _ = d.Run(t.Context(), "xrandr", "--fb", "800x600")
	r := watch(t, d, rawOnly, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	_, _ = d.Run(t.Context(), "xrandr", "--fb", "640x480")
	require.NoError(t, d.SetRoot(t.Context(), "#112233"))
	for r.color(639, 479) != [3]uint8{0x11, 0x22, 0x33} {
		r.ask(t, true)
		r.update(t)
	}
	assert.Equal(t, image.Pt(800, 600), r.size)
	assert.Equal(t, [3]uint8{}, r.color(700, 550), "there is nothing any more")
}

// A screen that shrinks and grows while it is drawn on ends nothing.
func TestResizeWhileBusy(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 800, Height: 600})
	p := newPainter(t, d, image.Rect(0, 0, 800, 600))
	r := watch(t, d, []rfb.Encoding{rfb.EncodingCopyRect, rfb.EncodingRaw, rfb.EncodingDesktopSize}, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	sizes := make(chan struct{})
	go func() {
		defer close(sizes)
		for i := range 12 {
			_, _ = d.Run(t.Context(), "xrandr", "--fb", []string{"400x300", "800x600", "640x10"}[i%3])
		}
	}()
	for done := false; !done; {
		select {
		case <-sizes:
			done = true
		default:
			p.fill(image.Rect(0, 0, 800, 600), uint32(p.rng.IntN(1<<24)))
			r.ask(t, true)
			r.update(t)
		}
	}
	r.settled(t, d)
}

// Without the extensions that make it fast the picture is the same, and what is
// lacking is said.
func TestWithoutExtensions(t *testing.T) {
	// XInput can't be switched off in Xvfb, and without XFIXES it crashes.
	for _, extension := range []string{"MIT-SHM", "DAMAGE", "RANDR"} {
		t.Run(extension, func(t *testing.T) {
			d := testhost.Require(t, testhost.Options{Identity: own(), Width: 500, Height: 400, Args: []string{"-extension", extension}})
			p := newPainter(t, d, image.Rect(10, 10, 400, 300))
			p.lines(0, 200)
			r := watch(t, d, []rfb.Encoding{rfb.EncodingCopyRect, rfb.EncodingRaw}, "--pointer=false")
			r.ask(t, false)
			r.update(t)
			r.settled(t, d)
			p.scroll(40)
			p.fill(image.Rect(100, 100, 150, 150), 0xff00ff)
			r.settled(t, d)
			assert.Contains(t, r.stderr.String(), "lacks "+extension)
		})
	}
}

// Pixels that are places in a colour map are shown in the map's colours.
func TestPseudoColor(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200, Depth: 8})
	r := watch(t, d, rawOnly, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	for _, c := range []string{"#204060", "#ffffff", "#a01122"} {
		require.NoError(t, d.SetRoot(t.Context(), c))
		want := strings.ToLower(c)
		for hex(r.color(160, 100)) != want {
			r.ask(t, true)
			r.update(t)
		}
	}
}

func hex(c [3]uint8) string {
	const digits = "0123456789abcdef"
	s := []byte{'#'}
	for _, v := range c {
		s = append(s, digits[v>>4], digits[v&15])
	}
	return string(s)
}

// One X screen of several is the one that was named.
func TestScreens(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200, Args: []string{"-screen", "1", "500x300x16"}})
	second := d.Display + ".1"
	_, err := d.Run(t.Context(), "xsetroot", "-display", second, "-solid", "#ff0000")
	require.NoError(t, err)
	r := watch(t, d, rawOnly, "--pointer=false", "--display", second)
	assert.Equal(t, image.Pt(500, 300), r.size)
	r.ask(t, false)
	r.update(t)
	assert.Equal(t, [3]uint8{255, 0, 0}, r.color(499, 299))

	missing := start(t, d, "--display", d.Display+".2")
	assert.Equal(t, ExitUnfit, missing.ends(t))
	assert.Contains(t, missing.stderr.String(), "no screen .2")
}

// One monitor of several is shown alone, and the whole while it is gone, and that is said.
func TestMonitor(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 800, Height: 600})
	draw(t, d, "xrandr --setmonitor left 500/100x600/100+0+0 screen")
	draw(t, d, "xrandr --setmonitor right 300/100x500/100+500+50 none")
	p := newPainter(t, d, image.Rect(450, 100, 550, 200))
	p.fill(image.Rect(0, 0, 100, 100), 0x00ff00)
	for _, name := range []string{"right", "2"} {
		r := watch(t, d, []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingDesktopSize, rfb.EncodingDesktopName}, "--monitor", name, "--pointer=false")
		require.Equal(t, image.Pt(300, 500), r.size)
		assert.Contains(t, r.name, "right of ")
		r.ask(t, false)
		r.update(t)
		assert.Equal(t, [3]uint8{0, 255, 0}, r.color(49, 149))
		assert.NotEqual(t, [3]uint8{0, 255, 0}, r.color(50, 149))
		p.fill(image.Rect(60, 60, 70, 70), 0xff0000)
		for r.color(10, 110) != [3]uint8{255, 0, 0} {
			r.ask(t, true)
			r.update(t)
		}
		p.fill(image.Rect(60, 60, 70, 70), 0x00ff00)
		if name == "2" {
			draw(t, d, "xrandr --delmonitor right")
			r.settled(t, d)
			assert.Equal(t, image.Pt(800, 600), r.size)
			assert.Contains(t, r.stderr.String(), "now shown: the whole screen, since monitor right is gone")
			r.called(t, ", all of it: monitor right is gone")
			late := watch(t, d, rawOnly, "--monitor", "right", "--pointer=false") // as after a pause
			assert.Equal(t, image.Pt(800, 600), late.size)
			assert.Contains(t, late.name, "monitor right is gone")
			draw(t, d, "xrandr --setmonitor right 200/100x100/100+500+50 none")
			r.called(t, "right of ")
			assert.Equal(t, image.Pt(200, 100), r.size)
			assert.Contains(t, r.stderr.String(), "now shown: monitor right alone, which is there again")
		}
	}
	bad := start(t, d, "--monitor", "7")
	assert.Equal(t, ExitFailed, bad.ends(t))
	assert.Contains(t, bad.stderr.String(), `no monitor "7"; there are 1 (left, 500x600)`)
}

// called waits until the viewer has been told another name.
func (r *running) called(t *testing.T, part string) {
	t.Helper()
	for !strings.Contains(r.name, part) {
		r.ask(t, true)
		r.update(t)
	}
}

// The exit status says whether the display or the viewer has gone, also when
// nothing was asked for.
func TestEnds(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	r := watch(t, d, rawOnly)
	r.Close()
	assert.Equal(t, ExitDone, r.ends(t))

	half := watch(t, d, rawOnly)
	half.write(t, []byte{byte(rfb.ClientFramebufferUpdateRequest), 0, 0})
	half.Close()
	assert.Equal(t, ExitDone, half.ends(t), half.stderr.String())

	early := start(t, d)
	early.Close()
	assert.Equal(t, ExitDone, early.ends(t))

	// Over what wasn't read, at each stage: one byte says that there is something.
	for name, bytes := range map[string]int{"version": 1, "security": 12 + 1, "frame": -1} {
		var r *running
		if bytes < 0 {
			r = watch(t, d, rawOnly)
			r.say(t, &rfb.FramebufferUpdateRequest{Rect: rfb.Rect{Width: 64, Height: 64}})
			bytes = 1
		} else {
			r = start(t, d)
		}
		if bytes > 12 {
			r.write(t, []byte("RFB 003.008\n"))
		}
		_, err := io.ReadFull(r.Conn, make([]byte, bytes))
		require.NoError(t, err)
		r.Close()
		assert.Equal(t, ExitDone, r.ends(t), "%s: %s", name, r.stderr.String())
	}

	idle, busy := watch(t, d, rawOnly), watch(t, d, rawOnly)
	busy.ask(t, false)
	busy.update(t)
	busy.ask(t, true)
	d.Kill()
	for _, r := range []*running{idle, busy} {
		assert.Equal(t, ExitGone, r.ends(t))
		assert.Contains(t, r.stderr.String(), "the display has gone")
		assert.Equal(t, 1, strings.Count(r.stderr.String(), "\n"), r.stderr.String())
	}
	late := start(t, d)
	assert.Equal(t, ExitGone, late.ends(t))
}

// An X server that hangs doesn't keep the child of a viewer that has left.
func TestXServerHangs(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	r := watch(t, d, rawOnly)
	r.ask(t, false)
	r.update(t)
	require.NoError(t, syscall.Kill(d.ServerPID(), syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(d.ServerPID(), syscall.SIGCONT) }()
	r.ask(t, false)                    // which it now waits for
	time.Sleep(200 * time.Millisecond) // nobody tells that it waits; too short would only make the test easier
	r.Close()
	assert.Equal(t, ExitDone, r.ends(t))
}

// Input is read over; nonsense ends the child with one line.
func TestWhatAViewerSends(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	log, err := d.WatchInput(t.Context())
	require.NoError(t, err)
	defer log.Close()
	r := watch(t, d, rawOnly, "--pointer=false")
	r.write(t, []byte{byte(rfb.ClientKeyEvent), 1, 0, 0, 0, 0, 0, 'a', byte(rfb.ClientKeyEvent), 0, 0, 0, 0, 0, 0, 'a'})
	r.write(t, []byte{byte(rfb.ClientPointerEvent), 1, 0, 50, 0, 50, byte(rfb.ClientPointerEvent), 0, 0, 50, 0, 50})
	r.write(t, append([]byte{byte(rfb.ClientCutText), 0, 0, 0, 0, 1, 0, 0}, make([]byte, 1<<16)...))
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	events, err := log.Events(t.Context())
	require.NoError(t, err)
	assert.Empty(t, events)

	r.write(t, []byte{213})
	assert.Equal(t, ExitFailed, r.ends(t))
	assert.Equal(t, 1, strings.Count(r.stderr.String(), "\n"), r.stderr.String())
}

// No viewer gets more than 20 pictures a second that it asks for anew.
func TestAnewIsBounded(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	r := watch(t, d, rawOnly, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	began := time.Now()
	for range 20 {
		r.ask(t, false)
		r.update(t)
	}
	assert.Greater(t, time.Since(began), 19*anewGap)
}

// What is drawn is looked at some milliseconds later, and no more often than max-fps says.
func TestLooksAreBounded(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	p := newPainter(t, d, image.Rect(0, 0, 100, 100))
	const fps, looks = 5, 10
	r := watch(t, d, rawOnly, "--pointer=false", "--max-fps", strconv.Itoa(fps))
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	began := time.Now()
	for i := range looks {
		drawn := time.Now()
		p.fill(image.Rect(0, 0, 50, 50), uint32(i+1))
		r.ask(t, true)
		r.update(t)
		assert.GreaterOrEqual(t, time.Since(drawn), 4*time.Millisecond)
	}
	assert.GreaterOrEqual(t, time.Since(began), (looks-burst-1)*time.Second/fps)
}

// What a compositor puts on the screen is what is shown.
func TestUnderACompositor(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 640, Height: 480, WindowManager: true})
	testenv.Program(t, "picom", "picom")
	_, err := d.Spawn("picom", "--backend", "xrender", "--config", "/dev/null", "--no-fading-openclose", "--inactive-opacity", "0.7")
	require.NoError(t, err)
	_, err = d.Spawn("xclock", "-geometry", "200x200+50+60", "-update", "3600")
	require.NoError(t, err)
	_, err = d.FindWindow(t.Context(), "xclock")
	require.NoError(t, err)
	_, err = d.Spawn("xeyes", "-geometry", "200x200+150+160")
	require.NoError(t, err)
	_, err = d.FindWindow(t.Context(), "xeyes")
	require.NoError(t, err)
	p := newPainter(t, d, image.Rect(200, 100, 500, 400))
	p.lines(0, 300)
	r := watch(t, d, []rfb.Encoding{rfb.EncodingCopyRect, rfb.EncodingRaw}, "--pointer=false")
	r.ask(t, false)
	r.update(t)
	for range 4 {
		p.scroll(30)
		// When the compositor is done isn't known, so the screen is looked at anew each time, and the viewer asks for
		// what it is sent whether anything has changed or not.
		require.NoError(t, testhost.Until(t.Context(), "the screen's picture", func() (bool, error) {
			want, err := d.Screenshot(t.Context())
			if err != nil {
				return false, err
			}
			if n, _ := r.wrong(want); n == 0 {
				return true, nil
			}
			r.ask(t, true)
			r.ask(t, false)
			r.update(t)
			return false, nil
		}))
	}
}

// Memory is what the package says: the frame, and some MB.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	peak := func(size image.Point, depth int) (kB int) {
		d := testhost.Require(t, testhost.Options{Width: size.X, Height: size.Y, Depth: depth})
		r := watch(t, d, []rfb.Encoding{rfb.EncodingTight, rfb.EncodingLastRect}, "--pointer=false")
		r.ask(t, false)
		_, _, _ = r.parts(t, nil)
		if size.X > 4000 { // the frame before goes before there is another
			_, _ = d.Run(t.Context(), "xrandr", "--fb", fmt.Sprintf("%dx%d", size.X-1, size.Y-1))
			r.say(t, &rfb.SetEncodings{Encodings: []rfb.Encoding{rfb.EncodingTight, rfb.EncodingLastRect, rfb.EncodingDesktopSize}})
			r.ask(t, true)
			r.update(t)
			require.Equal(t, image.Pt(size.X-1, size.Y-1), r.size)
			r.ask(t, false)
			_, _, _ = r.parts(t, nil)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.proc.PID()))
		require.NoError(t, err)
		_, line, _ := strings.Cut(string(status), "VmHWM:")
		_, err = fmt.Sscan(line, &kB)
		require.NoError(t, err)
		require.NoError(t, d.Close())
		return kB
	}
	sizes := []image.Point{{1920, 1080}, {4096, 4096}}
	if *soakFor >= time.Minute {
		sizes = append(sizes, image.Pt(16384, 16384))
	}
	small := peak(image.Pt(320, 200), 24)
	for _, size := range sizes {
		kB, frame := peak(size, 8), 4*size.X*size.Y>>10 // of depth 8, for the X server's memory
		t.Logf("%v: %d kB, of which %d are the frame; the process without: %d", size, kB, frame, small)
		assert.Less(t, kB-small, frame+frame/50+30<<10, "%v", size)
	}
}
