package dialog

import (
	"errors"
	"image"
	"slices"
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/xproto"
)

// Any program of the session can do to the banner's window, and to what is around it, what it likes. Each look asks whether all of
// the window is in its place and whether the screen shows its picture. What is drawn over, or made transparent, is put right at
// once; what isn't seen for paintTime, or isn't in its place, gets a new window. All of that is bounded by how often it happens,
// whatever the cause: nothing that a program can do, be it that it names another window manager, gives more.

// paintTime is how long the screen may take to show the banner: a compositor may just have begun.
const paintTime = 3 * time.Second

// A limit is how often something may happen.
type limit struct {
	most   int
	within time.Duration
	times  []time.Time
}

// take notes that it happens. It reports false if it has happened too often.
func (l *limit) take(now time.Time) bool {
	l.times = slices.DeleteFunc(l.times, func(t time.Time) bool { return now.Sub(t) >= l.within })
	if len(l.times) >= l.most {
		return false
	}
	l.times = append(l.times, now)
	return true
}

// ErrUnpainted is a banner that nobody can see.
var ErrUnpainted = errors.New("the screen doesn't show the banner: its compositor or window manager has changed, or another program takes it away")

// watch makes the window anew when another window manager or compositor takes over, which may not paint one that was there
// before, as long as that doesn't happen all the time, and when another program has done something to it that can't be put right otherwise.
func (b *banner) watch(holder, painter xproto.Window, astray bool) error {
	now, replaced := time.Now(), holder != b.holder || painter != b.painter
	b.holder, b.painter = holder, painter
	b.unproven = b.unproven || replaced
	state := astrayBanner
	if !astray && !b.over {
		state = b.state(now)
	}
	switch {
	case b.over || state == fineBanner:
		if !replaced || !b.changes.take(now) {
			return nil
		}
	case b.renewals.take(now):
	case state == unseenBanner && b.isTransformed():
		b.unseen = now
		return nil
	default:
		return ErrUnpainted
	}
	return b.renew(now)
}

// A bannerState is what a look has found.
type bannerState int

const (
	fineBanner   bannerState = iota // there is nothing to be done about it, or not yet
	unseenBanner                    // the screen hasn't shown it for paintTime
	spoiltBanner                    // other programs have done too much to it
	astrayBanner                    // not all of it is in its place
)

// state looks whether the user can see the banner, and puts it right if not.
func (b *banner) state(now time.Time) bannerState {
	often := false
	if b.faded {
		b.faded = false
		b.opaque()
		often = !b.lapses.take(now)
	}
	composited := b.painter != 0
	mayBe := b.drawing == 0 || b.checked.IsZero() || b.stirred.After(b.checked)
	b.checked = now
	if mayBe && (composited || !b.covered && !b.below) && !b.untouched(b.view.img) {
		if b.replace(b.view.img) != nil {
			return spoiltBanner
		}
		// Without a compositor it may be a menu that has just opened.
		often = composited && !b.lapses.take(now) || often
	}
	lags := b.dragging || now.Sub(b.swapped) < lookTime || now.Sub(b.raised) < lookTime // the screen has yet to show it
	switch {
	case b.isShown():
		b.unseen, b.unproven = time.Time{}, false
	case lags:
		b.unseen = now
	case b.unseen.IsZero():
		b.unseen = now
		if b.replace(b.view.img) != nil {
			return spoiltBanner
		}
		often = !b.lapses.take(now) || often
	case now.Sub(b.unseen) >= paintTime:
		return unseenBanner
	}
	if often {
		return spoiltBanner
	}
	return fineBanner
}

// isTransformed reports whether a compositor shows the screen otherwise than it is, enlarged for instance, and that is
// all: nothing lies above the banner, nobody has touched it, and the compositor is no new one that may not paint it.
func (b *banner) isTransformed() bool {
	return b.painter != 0 && !b.covered && !b.below && !b.unproven && b.untouched(b.view.img)
}

// isShown reports whether the screen shows the banner, or windows that hide most of it. Those must take input where they
// hide it: compositors may lay one that takes none over everything.
func (b *banner) isShown() bool {
	if (b.covered || b.below) && (b.blank() || mostlyHidden(b.visible())) { // as behind a lock, for hours
		return true
	}
	if b.painted(b.view.img, b.at, nil, b.view.parts()) {
		return true
	}
	visible := b.visible()
	return mostlyHidden(visible) || b.painted(b.view.img, b.at, visible, b.view.parts()) || b.away()
}

// terminalMark is the root window's property with which Xorg says whether it has the virtual terminal; while it hasn't, it shows nothing.
const terminalMark = "XFree86_has_VT"

// away reports whether the user has switched to another virtual terminal.
func (w *window) away() bool {
	r, err := xproto.GetProperty(w.x.Conn, false, w.screen.Root, w.atoms[terminalMark], xproto.AtomInteger, 0, 1).Reply()
	return err == nil && r.Format == 32 && len(r.Value) == 4 && xgb.Get32(r.Value) == 0
}

// visible says of each pixel of the banner whether no window hides it.
func (b *banner) visible() []bool { return b.uncovered(image.Rectangle{Max: b.size}.Add(b.at)) }

// mostlyHidden reports whether more than half of these aren't visible.
func mostlyHidden(visible []bool) bool {
	hidden := 0
	for _, is := range visible {
		if !is {
			hidden++
		}
	}
	return 2*hidden > len(visible)
}

// renew puts a new window, with a new picture, into the old one's place.
func (b *banner) renew(now time.Time) error {
	old := b.id
	b.unseen, b.covered, b.strayed, b.faded, b.down, b.dragging = now, false, false, false, noBannerButton, false
	if err := b.redraw(b.view.img); err != nil {
		return err
	}
	if err := b.create(b.at, b.title); err != nil {
		return err
	}
	xproto.DestroyWindow(b.x.Conn, old)
	return nil
}

// opacityMark is the property that tells compositors how opaque a window is. This program never sets it.
const opacityMark = "_NET_WM_WINDOW_OPACITY"

// isFading reports whether another program has just set it for the window.
func (w *window) isFading(e xproto.PropertyNotifyEvent) bool {
	return e.Window == w.id && e.Atom == w.atoms[opacityMark] && e.State == xproto.PropertyNewValue
}

// opaque deletes it.
func (w *window) opaque() { xproto.DeleteProperty(w.x.Conn, w.id, w.atoms[opacityMark]) }
