package desktop

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/host/xconn"
)

// BenchmarkAsk measures how long it takes from the request until the question can be seen:
// until the pixel in the middle of the screen, as the X server has it, is that of the window.
//
//	go test ./consent/desktop -run '^$' -bench Ask -benchtime 50x
func BenchmarkAsk(b *testing.B) {
	for _, c := range []struct {
		name    string
		managed bool
		admin   string
		locale  string
	}{
		{"bare", false, `CORP\alice`, "en_US.UTF-8"},
		{"openbox", true, `CORP\alice`, "en_US.UTF-8"},
		{"openbox-ja", true, "CORP\\山田太郎 عمر", "ja_JP.UTF-8"}, // fonts of several scripts
	} {
		b.Run(c.name, func(b *testing.B) {
			own := child.Own()
			d := testhost.Require(b, testhost.Options{Width: 1920, Height: 1080, WindowManager: c.managed, Identity: &own})
			p := newPixel(b, d)
			r := request(d)
			r.Admin, r.Identity.Account, r.Locale = c.admin, c.admin, c.locale
			var took []time.Duration
			for b.Loop() {
				ctx, cancel := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				begun := time.Now()
				go func() {
					_, err := X11{}.Ask(ctx, r)
					ended <- err
				}()
				p.wait(b, true)
				took = append(took, time.Since(begun))
				cancel()
				require.ErrorIs(b, <-ended, context.Canceled)
				p.wait(b, false)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
			b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "ms/p90")
		})
	}
}

// BenchmarkBanner measures what a banner that nothing happens to takes, and its X server for it, in ms of CPU a second.
//
//	go test ./consent/desktop -run '^$' -bench Banner -benchtime 3x
func BenchmarkBanner(b *testing.B) {
	own := child.Own()
	d := &desk{Desktop: testhost.Require(b, testhost.Options{Width: 1920, Height: 1080, Identity: &own}), ctx: b.Context()}
	s := showing(d.ctx, quick, request(d.Desktop))
	var err error
	d.win, err = d.FindWindow(d.ctx, "banner")
	require.NoError(b, err)
	pid, err := d.findPID()
	require.NoError(b, err)
	time.Sleep(3 * time.Second) // all that comes at first
	banner, server, begun := clock(b, pid), clock(b, d.ServerPID()), time.Now()
	for b.Loop() {
		time.Sleep(10 * time.Second)
	}
	per := func(took time.Duration) float64 {
		return float64(took.Microseconds()) / 1000 / time.Since(begun).Seconds()
	}
	b.ReportMetric(per(clock(b, pid)-banner), "banner-ms/s")
	b.ReportMetric(per(clock(b, d.ServerPID())-server), "server-ms/s")
	s.Close()
	<-s.Done()
	require.NoError(b, s.Err())
}

// clock is the CPU time of a process (clock_getcpuclockid(3)).
func clock(b *testing.B, pid int) time.Duration {
	var ts unix.Timespec
	require.NoError(b, unix.ClockGettime(int32(^pid<<3|2), &ts))
	return time.Duration(ts.Nano())
}

// A pixel is the middle one of a screen.
type pixel struct {
	x      *xconn.Conn
	screen *xproto.ScreenInfo
	empty  [4]byte // what it is without a window
}

func newPixel(b *testing.B, d *testhost.Desktop) *pixel {
	x, err := xconn.Dial(d.Display, d.Xauthority, 5*time.Second)
	require.NoError(b, err)
	p := &pixel{x: x, screen: xproto.Setup(x.Conn).DefaultScreen(x.Conn)}
	p.empty = p.get(b)
	return p
}

func (p *pixel) get(b *testing.B) [4]byte {
	r, err := xproto.GetImage(p.x.Conn, xproto.ImageFormatZPixmap, xproto.Drawable(p.screen.Root),
		int16(p.screen.WidthInPixels/2), int16(p.screen.HeightInPixels/2), 1, 1, ^uint32(0)).Reply()
	require.NoError(b, err)
	return [4]byte(r.Data)
}

// wait waits until there is a window, or none.
func (p *pixel) wait(b *testing.B, window bool) {
	for until := time.Now().Add(10 * time.Second); (p.get(b) != p.empty) != window; time.Sleep(200 * time.Microsecond) {
		require.True(b, time.Now().Before(until), "the window came or went too late")
	}
}
