package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"strings"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
)

const (
	pictureFile = "demo.png"
	intruder    = "rm -rf me" // what the administrator tries to type
)

// A player is a person without a person: a headless Chromium that has the page
// open.
type player struct {
	desktop  *testhost.Desktop
	events   *api.EventStream
	password string // the administrator's
}

// playOnce plays the demo and checks what a person would see. It writes a
// picture of the page while both halves live.
func playOnce(ctx context.Context, url string, d *testhost.Desktop, client api.Client, password string, stdout io.Writer) error {
	events, err := client.Events(ctx)
	if err != nil {
		return err
	}
	defer events.Close()
	p := player{desktop: d, events: events, password: password}
	browser, closeBrowser, err := openBrowser(ctx)
	if err != nil {
		return err
	}
	defer closeBrowser()
	for _, step := range []struct {
		does string
		run  func(context.Context) error
	}{
		{"The page opens and its left half shows the desktop.", func(ctx context.Context) error { return p.open(ctx, url) }},
		{"The administrator signs in; the right half lists the session.", p.signIn},
		{"The administrator asks, and says why; the user is asked.", p.ask},
		{"The user clicks Yes in the left half; the right half shows the desktop.", p.answer},
		{"The desktop changes, and the right half with it.", p.follow},
		{"The administrator types, clicks and scrolls; nothing reaches the session.", p.intrude},
		{"The page is written to " + pictureFile + ".", p.picture},
		{"The user clicks Pause, and the right half says so; Resume shows the desktop again.", p.pause},
		{"The administrator presses Stop; both the page and the audit say why it ended.", p.stop},
		{"The console's activity has all of it.", p.lookUp},
	} {
		if err := step.run(browser); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return fmt.Errorf("%s This failed: %w", step.does, err)
		}
		fmt.Fprintln(stdout, "  "+step.does)
	}
	return nil
}

func (p *player) open(ctx context.Context, url string) error {
	if err := chromedp.Do(ctx, chromedp.Navigate(url+"#sign-in")); err != nil {
		return err
	}
	if err := p.state(ctx, `document.body.dataset.desktop === "live"`); err != nil {
		return err
	}
	return p.same(ctx, desktopCanvas)
}

func (p *player) signIn(ctx context.Context) error {
	for _, field := range []struct{ selector, text string }{{`input[name=username]`, admin}, {`input[name=password]`, p.password + "\r"}} {
		if err := p.press(ctx, field.selector, ""); err != nil {
			return err
		}
		if err := chromedp.Do(ctx, chromedp.KeyEvent(field.text)); err != nil {
			return err
		}
	}
	return p.says(ctx, ".list", "Can be viewed")
}

func (p *player) ask(ctx context.Context) error {
	if err := p.press(ctx, ".row button", "Ask to view"); err != nil {
		return err
	}
	if err := p.press(ctx, "dialog textarea", ""); err != nil {
		return err
	}
	if err := chromedp.Do(ctx, chromedp.KeyEvent("INC-1234 the clock is slow")); err != nil {
		return err
	}
	if err := p.press(ctx, "dialog button", "Ask the user"); err != nil {
		return err
	}
	_, err := p.desktop.FindWindow(ctx, "consent")
	return err
}

// answer clicks Yes, in the question's lower right corner, once a second: the
// question takes no answer in its first moment, which an early click makes longer.
func (p *player) answer(ctx context.Context) error {
	next := time.Now().Add(time.Second)
	err := testhost.Until(ctx, "the question to be answered", func() (bool, error) {
		asked, err := p.desktop.Windows(ctx, "consent")
		if err != nil || len(asked) == 0 {
			return err == nil, err
		}
		if time.Now().Before(next) {
			return false, nil
		}
		next = time.Now().Add(time.Second)
		w := asked[0]
		return false, p.click(ctx, desktopCanvas, w.X+w.Width-70, w.Y+w.Height-32)
	})
	if err != nil {
		return err
	}
	if err := p.says(ctx, ".badge", "Live, view only"); err != nil {
		said, _ := chromedp.Run(ctx, chromedp.Evaluate[string](console+`.body.innerText`))
		return fmt.Errorf("%w; the console says: %s", err, strings.Join(strings.Fields(said), " "))
	}
	return p.same(ctx, viewCanvas)
}

func (p *player) follow(ctx context.Context) error {
	for _, colour := range []string{"#6e3150", background} {
		if err := p.desktop.SetRoot(ctx, colour); err != nil {
			return err
		}
		if err := p.same(ctx, viewCanvas); err != nil {
			return err
		}
	}
	return nil
}

// intrude uses every means that a browser has on the right half.
func (p *player) intrude(ctx context.Context) error {
	log, err := p.desktop.WatchInput(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	x0, y0, err := p.desktop.Pointer(ctx)
	if err != nil {
		return err
	}
	x, y, err := place(ctx, viewCanvas, 200, 250) // in the terminal
	if err != nil {
		return err
	}
	err = chromedp.Do(ctx,
		chromedp.MouseClickXY(x, y),
		chromedp.KeyEvent(intruder+"\r"),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseWheel, x, y, func(e *input.DispatchMouseEventParams) { e.DeltaX, e.DeltaY = 1, 200 }),
	)
	if err != nil {
		return err
	}
	// A viewer's messages are taken in order: once the picture has followed
	// twice, a request that came after the input has been answered.
	if err := p.follow(ctx); err != nil {
		return err
	}
	arrived, err := log.Events(ctx)
	if err != nil {
		return err
	}
	x1, y1, err := p.desktop.Pointer(ctx)
	if err != nil {
		return err
	}
	if len(arrived) > 0 || x1 != x0 || y1 != y0 {
		return fmt.Errorf("input reached the session: %v; the pointer went from %d,%d to %d,%d", arrived, x0, y0, x1, y1)
	}
	return nil
}

func (p *player) picture(ctx context.Context) error {
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return err
	}
	return os.WriteFile(pictureFile, shot, 0o644)
}

// slate is the colour of the banner's button Pause, which is Resume during a pause.
var slate = color.RGBA{0x4a, 0x57, 0x64, 0xff}

// toggle clicks on the banner's button Pause or Resume.
func (p *player) toggle(ctx context.Context) error {
	banner, err := p.desktop.FindWindow(ctx, "banner")
	if err != nil {
		return err
	}
	shot, err := p.desktop.Screenshot(ctx)
	if err != nil {
		return err
	}
	button := image.Rectangle{}
	for y := banner.Y; y < banner.Y+banner.Height; y++ {
		for x := banner.X; x < banner.X+banner.Width; x++ {
			if shot.RGBAAt(x, y) == slate {
				button = button.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if button.Empty() {
		return errors.New("the banner has no button Pause")
	}
	return p.click(ctx, desktopCanvas, (button.Min.X+button.Max.X)/2, (button.Min.Y+button.Max.Y)/2)
}

// toggleUntil clicks until the console says so: for half a second after it has changed the banner takes
// no click.
func (p *player) toggleUntil(ctx context.Context, says string) error {
	for {
		if err := p.toggle(ctx); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := p.says(soon, ".badge", says)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

func (p *player) pause(ctx context.Context) error {
	for _, says := range []string{"Paused by the user", "Live, view only"} {
		if err := p.toggleUntil(ctx, says); err != nil {
			return err
		}
	}
	return p.same(ctx, viewCanvas)
}

// lookUp follows the end's link to the view's life.
func (p *player) lookUp(ctx context.Context) error {
	if err := p.press(ctx, ".over a", "What happened"); err != nil {
		return err
	}
	for _, words := range []string{"INC-1234 the clock is slow", "The user said Yes", "Paused by the user", "Resumed by the user", "An administrator stopped the view"} {
		if err := p.says(ctx, "tbody", words); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) stop(ctx context.Context) error {
	if err := p.press(ctx, ".tools button", "Stop"); err != nil {
		return err
	}
	if err := p.says(ctx, ".over", "An administrator stopped the view"); err != nil {
		return err
	}
	for {
		e, err := p.events.Next()
		if err != nil {
			return err
		}
		if e.Type != shadow.EventEnded {
			continue
		}
		if e.Reason != shadow.StoppedByAdmin {
			return fmt.Errorf("the audit's reason is %q", e.Reason)
		}
		return nil
	}
}
