package dialog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
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
