package main

import (
	"context"
	"errors"
	"fmt"
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
	desktop *testhost.Desktop
	events  *api.EventStream
}

// playOnce plays the demo and checks what a person would see. It writes a
// picture of the page while both halves live.
func playOnce(ctx context.Context, url string, d *testhost.Desktop, client api.Client, stdout io.Writer) error {
	events, err := client.Events(ctx)
	if err != nil {
		return err
	}
	defer events.Close()
	p := player{desktop: d, events: events}
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
		{"The administrator presses Shadow; the user is asked.", p.ask},
		{"The user clicks Yes in the left half; the right half shows the desktop.", p.answer},
		{"The desktop changes, and the right half with it.", p.follow},
		{"The administrator types, clicks and scrolls; nothing reaches the session.", p.intrude},
		{"The page is written to " + pictureFile + ".", p.picture},
		{"The administrator presses Stop; both the page and the audit say why it ended.", p.stop},
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
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		return err
	}
	if err := p.state(ctx, `document.body.dataset.desktop === "live" && document.body.dataset.log === "open"`); err != nil {
		return err
	}
	return p.same(ctx, "#desktop")
}

func (p *player) ask(ctx context.Context) error {
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#shadow"))); err != nil {
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
		return false, p.click(ctx, "#desktop", w.X+w.Width-70, w.Y+w.Height-32)
	})
	if err != nil {
		return err
	}
	if err := p.state(ctx, `["live", "refused", "ended"].includes(document.body.dataset.shadow)`); err != nil {
		return err
	}
	notice, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.getElementById("notice").innerText`))
	if err != nil {
		return err
	}
	if notice = strings.Join(strings.Fields(notice), " "); notice != "" {
		return fmt.Errorf("the page says: %s", notice)
	}
	return p.same(ctx, "#view")
}

func (p *player) follow(ctx context.Context) error {
	for _, colour := range []string{"#6e3150", background} {
		if err := p.desktop.SetRoot(ctx, colour); err != nil {
			return err
		}
		if err := p.same(ctx, "#view"); err != nil {
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
	x, y, err := place(ctx, "#view", 200, 250) // in the terminal
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

func (p *player) stop(ctx context.Context) error {
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#stop"))); err != nil {
		return err
	}
	if err := p.state(ctx, `document.body.dataset.shadow === "ended"`); err != nil {
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
		if e.Dropped == 0 {
			return errors.New("the audit counts no input that was stopped, though the administrator typed")
		}
		break
	}
	return p.state(ctx, `document.getElementById("notice-facts").textContent.includes("stopped_by_admin")`)
}
