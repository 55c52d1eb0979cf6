package capture

import (
	"flag"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
)

var (
	soakFor  = flag.Duration("soak", 3*time.Second, "how long TestSoak goes on")
	soakRest = flag.Float64("soak-rest", 0, "how many times as long as each step TestSoak rests after it, on a machine with other work")
	soakSeed = flag.Uint64("soak-seed", 1, "what TestSoak begins with, as a failure says; 0: any")
)

// episodeSteps is after how many steps there is another desktop.
const episodeSteps = 40

// TestSoak draws whatever comes to mind on desktops of 24 and 16 bits, whose size and monitors
// change, in front of viewers of every kind. Each time all is still, each has the screen's
// pixels, all of them and exactly. `make pictures` gives it an hour.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = 1 + rand.Uint64N(1<<32)
	}
	end := time.Now().Add(*soakFor)
	var total tally
	for ; ; seed++ {
		ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { soak(t, seed, end, &total) })
		if !ok || !time.Now().Before(end) {
			break
		}
	}
	if !t.Failed() {
		fmt.Printf("soak: %v\n", &total)
	}
}

// A tally is what a soak has gone through.
type tally struct {
	desktops, steps, resizes, monitors, viewers, updates int
	jpegs, copies                                        int
	bytes, pixels                                        int64
}

// String implements fmt.Stringer.
func (y *tally) String() string {
	return fmt.Sprintf("%d desktops, %d steps, %d new sizes, %d changes of monitors, %d viewers, %d updates of %d MB, with %d JPEGs and %d CopyRects; %d million pixels compared, none wrong at the end",
		y.desktops, y.steps, y.resizes, y.monitors, y.viewers, y.updates, y.bytes>>20, y.jpegs, y.copies, y.pixels/1_000_000)
}

// soak is one desktop, until end or for so many steps.
func soak(t *testing.T, seed uint64, end time.Time, total *tally) {
	rng := rand.New(rand.NewPCG(seed, seed))
	depth := []int{24, 16}[seed%2]
	largest := image.Pt(500+rng.IntN(500), 400+rng.IntN(400))
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: largest.X, Height: largest.Y, Depth: depth})
	total.desktops++
	s := &scene{t: t, d: d, rng: rng, size: largest, largest: largest, artist: newArtist(t, d, rng, depth), tally: total}
	require.NoError(t, d.SetRoot(t.Context(), "#204060"))
	s.setMonitor()
	var viewers []*soakViewer
	for _, kind := range soakKinds {
		viewers = append(viewers, newSoakViewer(t, d, kind))
		total.viewers++
	}
	defer func() {
		for _, v := range viewers {
			v.leave()
		}
	}()
	for step := range episodeSteps {
		began := time.Now()
		did := s.step()
		total.steps++
		s.compare(viewers, fmt.Sprintf("-soak-seed %d, step %d: %s", seed, step, did))
		time.Sleep(time.Duration(*soakRest * float64(time.Since(began))))
		if time.Now().After(end) {
			return
		}
		i := rng.IntN(len(viewers))
		switch v := viewers[i]; rng.IntN(6) {
		case 0:
			v.leave()
			viewers[i] = newSoakViewer(t, d, v.kind)
			total.viewers++
		case 1:
			v.change(rng)
		}
	}
}

// A scene is a desktop, and what is to be seen on it.
type scene struct {
	t       *testing.T
	d       *testhost.Desktop
	rng     *rand.Rand
	artist  *artist
	size    image.Point
	largest image.Point
	monitor image.Rectangle // that some viewers are shown; empty: it isn't there
	tally   *tally
}

// soakMonitor is what the monitor is called.
const soakMonitor = "left"

// step does a few things and says what.
func (s *scene) step() string {
	var did []string
	for range 1 + s.rng.IntN(6) {
		switch s.rng.IntN(12) {
		case 0:
			s.resize()
			did = append(did, fmt.Sprint("size ", s.size))
		case 1:
			s.setMonitor()
			did = append(did, fmt.Sprint("monitor ", s.monitor))
		default:
			did = append(did, s.artist.act(s.size))
		}
	}
	s.artist.sync()
	return strings.Join(did, ", ")
}

// resize gives the screen another size, at times while it is drawn on.
func (s *scene) resize() {
	s.size = image.Pt(200+s.rng.IntN(s.largest.X-199), 150+s.rng.IntN(s.largest.Y-149))
	s.tally.resizes++
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.d.Run(s.t.Context(), "xrandr", "--fb", fmt.Sprintf("%dx%d", s.size.X, s.size.Y)) // says that it failed, and does it
	}()
	if s.rng.IntN(2) == 0 {
		s.artist.act(s.size)
	}
	<-done
}

// setMonitor makes the monitor, changes it, or takes it away.
func (s *scene) setMonitor() {
	s.tally.monitors++
	if !s.monitor.Empty() {
		draw(s.t, s.d, "xrandr --delmonitor "+soakMonitor)
		s.monitor = image.Rectangle{}
		if s.rng.IntN(2) == 0 {
			return
		}
	}
	at := image.Pt(1+s.rng.IntN(100), 1+s.rng.IntN(100)) // never the whole
	s.monitor = image.Rectangle{Max: image.Pt(1+s.rng.IntN(300), 1+s.rng.IntN(300))}.Add(at)
	draw(s.t, s.d, fmt.Sprintf("xrandr --setmonitor %s %d/100x%d/100+%d+%d none", soakMonitor, s.monitor.Dx(), s.monitor.Dy(), at.X, at.Y))
}

// compare waits until each viewer has the screen, and looks at all once more then.
func (s *scene) compare(viewers []*soakViewer, did string) {
	want, err := s.d.Screenshot(s.t.Context())
	require.NoError(s.t, err)
	require.Equal(s.t, s.size, want.Rect.Size(), did)
	for _, v := range viewers {
		v.settled(s, want, did)
	}
	for _, v := range viewers {
		wrong, where := v.wrong(s, want)
		if wrong > 0 {
			s.keep(v, want)
		}
		require.Zero(s.t, wrong, "%s: %d wrong pixels in %v after all was still; %s", v.kind.name, wrong, where, did)
		s.tally.add(v)
	}
}

// keep writes the pictures of a failure where SHADOW_PICTURES says.
func (s *scene) keep(v *soakViewer, want *image.RGBA) {
	dir := os.Getenv("SHADOW_PICTURES")
	if dir == "" {
		return
	}
	require.NoError(s.t, os.MkdirAll(dir, 0o755))
	keepPicture(s.t, dir+"/want.png", want)
	keepPicture(s.t, dir+"/got.png", v.picture())
}
