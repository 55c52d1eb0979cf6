package dialog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/randr"
	"github.com/BurntSushi/xgb/xfixes"
	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The rest of a double click never undoes what its beginning did, be the button still the old one or the
// new one already. A click that comes later counts.
func TestBannerDoubleClick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lib := testLibrary(t, "en")
		said := ""
		n := notice("alice")
		n.Toggle = "Pause"
		b := &banner{notice: n, view: layoutBanner(n, lib, 1, 1000), report: Reports{Paused: func() { said += "pause " }, Resumed: func() { said += "resume " }}}
		click := func() {
			at := b.view.pause.Min.Add(b.view.pause.Size().Div(2))
			b.handle(xproto.ButtonPressEvent{Detail: 1, EventX: int16(at.X), EventY: int16(at.Y)})
			b.handle(xproto.ButtonReleaseEvent{Detail: 1, EventX: int16(at.X), EventY: int16(at.Y)})
		}
		change := func(paused bool, toggle string) {
			n.Paused, n.Toggle = paused, toggle
			b.turn(n.Paused)
			b.notice, b.view = n, layoutBanner(n, lib, 1, 1000)
		}
		click()
		click()
		b.pressed(pausePart)
		assert.Equal(t, "pause ", said)

		change(true, "Resume")
		click()
		time.Sleep(settleTime - 1)
		click()
		assert.Equal(t, "pause ", said, "it undid itself")
		time.Sleep(time.Nanosecond)
		click()
		click()
		assert.Equal(t, "pause resume ", said)

		change(false, "Pause")
		click()
		assert.Equal(t, "pause resume ", said)
		time.Sleep(settleTime)
		change(false, "Pause") // what happened in between wasn't told
		b.pressed(pausePart)
		assert.Equal(t, "pause resume pause ", said)
		change(false, "Pause")
		b.over = true
		click()
		assert.Equal(t, "pause resume pause ", said)
	})
}

// A banner that something is wrong with looks again and again, as does one of which the server can't tell all.
// Events make one that has settled look; what they say of the root window it needn't hear twice.
func TestBannerSettles(t *testing.T) {
	settled := func() *banner {
		return &banner{window: &window{id: 7, alert: true, hears: rootMask, screen: &xproto.ScreenInfo{Root: 1}}, raiseAfter: raiseTime}
	}
	require.True(t, settled().settled())
	for name, unsettle := range map[string]func(b *banner){
		"covered": func(b *banner) {
			b.handle(xproto.VisibilityNotifyEvent{Window: 7, State: xproto.VisibilityPartiallyObscured})
		},
		"below another":  func(b *banner) { b.below = true },
		"in a fight":     func(b *banner) { b.raiseAfter = 2 * raiseTime },
		"unpainted":      func(b *banner) { b.unseen = time.Now() },
		"counting":       func(b *banner) { b.notice.Until = time.Now() },
		"put elsewhere":  func(b *banner) { b.handle(xproto.ReparentNotifyEvent{Window: 7, Parent: 2}) },
		"never told all": func(b *banner) { b.alert = false },
	} {
		b := settled()
		unsettle(b)
		assert.False(t, b.settled(), name)
	}
	for _, ev := range []xgb.Event{
		xproto.MapNotifyEvent{Window: 9}, xproto.ReparentNotifyEvent{Window: 7, Parent: 1}, xproto.DestroyNotifyEvent{Window: 9}, xproto.ConfigureNotifyEvent{Window: 9},
		xproto.CreateNotifyEvent{Parent: 7}, xproto.CirculateNotifyEvent{}, xproto.GravityNotifyEvent{}, xfixes.SelectionNotifyEvent{}, randr.ScreenChangeNotifyEvent{},
	} {
		b := settled()
		b.handle(ev)
		assert.True(t, b.due, "%T", ev)
		assert.True(t, b.settled(), "%T", ev)
	}
}
