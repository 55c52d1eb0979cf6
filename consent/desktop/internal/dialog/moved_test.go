package dialog

import (
	"image"
	"testing"

	"github.com/BurntSushi/xgb/xproto"
	"github.com/stretchr/testify/assert"
)

// seen is a question in front of somebody who has had time to read it.
func seen() *prompt {
	d := &prompt{window: &window{managed: true}, controls: newControls(), at: image.Pt(100, 100)}
	d.minKey, d.actions = 36, []action{pressKey, refuseKey}
	d.controls.begin(1000, 0)
	return d
}

// Somebody who brings the window under the pointer and back again, before anybody
// can ask where it is, is told from the click: it knows where the window was.
func TestAClickWhereTheWindowIsNot(t *testing.T) {
	d := seen()
	_, answered := d.handle(xproto.ButtonPressEvent{Detail: 1, Time: 2000, RootX: 150, RootY: 120, EventX: 10, EventY: 20})
	assert.False(t, answered)
	assert.False(t, d.controls.clear, "Yes waits again")
	assert.Equal(t, image.Pt(140, 100), d.at)

	d = seen()
	d.controls.down = allowButton
	_, answered = d.handle(xproto.ButtonReleaseEvent{Detail: 1, Time: 2000, RootX: 150, RootY: 120, EventX: 50, EventY: 30})
	assert.False(t, answered)
	assert.NotEqual(t, allowButton, d.controls.down, "the press is forgotten")
	assert.False(t, d.controls.clear)
}

// A key that comes before the server has said when the keyboard came was meant for
// whoever had it before.
func TestAKeyThatIsOnItsWay(t *testing.T) {
	d := seen()
	d.controls.focus, d.arriving = allowButton, true
	_, answered := d.handle(xproto.KeyPressEvent{Detail: 36, Time: 2000})
	assert.False(t, answered)
	assert.Equal(t, denyButton, d.controls.focus)
	assert.True(t, d.controls.typing(2000))
}

// A key that is typed elsewhere while the keyboard is tried (keyboardTaken) comes here, too, and
// says so by its window.
func TestAKeyThatWasCaught(t *testing.T) {
	d := seen()
	d.id, d.controls.focus = 7, allowButton
	for _, key := range []xproto.Keycode{36, 37} {
		_, answered := d.handle(xproto.KeyPressEvent{Detail: key, Time: 2000, Event: 1})
		assert.False(t, answered)
	}
	assert.Equal(t, denyButton, d.controls.focus)
	assert.True(t, d.controls.typing(2000))
}

// What comes back onto the screen takes nothing until the server has said when it came back.
func TestAWindowThatWasAway(t *testing.T) {
	d := seen()
	d.inside = true
	assert.False(t, d.controls.early(2000))
	d.handle(xproto.UnmapNotifyEvent{})
	assert.False(t, d.inside)
	d.handle(xproto.MapNotifyEvent{})
	assert.True(t, d.controls.early(2000))
	d.uncovered(3000)
	assert.True(t, d.controls.early(3000+guardTime-1))
	assert.False(t, d.controls.early(3000+guardTime))
}

// A window manager may keep a window mapped that it doesn't show, and a screen that has become
// smaller may show a part of it: nothing counts, and the half second begins when it is back.
func TestAWindowThatCannotBeSeen(t *testing.T) {
	for name, reason := range map[string]func(d *prompt) *bool{
		"hidden": func(d *prompt) *bool { return &d.iconic }, "cut": func(d *prompt) *bool { return &d.cut },
	} {
		d := seen()
		d.controls.focus = allowButton
		d.setAway(reason(d), true)
		_, answered := d.handle(xproto.KeyPressEvent{Detail: 36, Time: 2000})
		assert.False(t, answered, name)
		_, answered = d.handle(xproto.KeyPressEvent{Detail: 37, Time: 3000})
		assert.False(t, answered, "%s: not even Esc", name)
		d.uncovered(3500)
		assert.True(t, d.controls.early(9000), "%s: it is still away", name)
		assert.True(t, d.barred(), name)
		d.setAway(reason(d), false)
		assert.True(t, d.controls.early(9000), "%s: nobody has said when it came back", name)
		d.uncovered(9500)
		assert.True(t, d.controls.early(9500+guardTime-1), name)
		_, answered = d.handle(xproto.KeyPressEvent{Detail: 37, Time: 9500 + guardTime})
		assert.True(t, answered, name)
	}
	d := seen()
	d.setAway(&d.iconic, true)
	d.setAway(&d.cut, true)
	d.setAway(&d.iconic, false)
	assert.True(t, d.controls.early(9000), "it is away for two reasons")
}
