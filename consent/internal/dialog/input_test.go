package dialog

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// ready is controls whose guard time ended at 1000, after wrapping.
func ready() *controls {
	c := newControls()
	c.begin(1000-guardTime, 0)
	return c
}

func TestKeys(t *testing.T) {
	for name, c := range map[string]struct {
		keys   []action
		answer Answer
		done   bool
	}{
		"Enter":             {[]action{pressKey}, No, true},
		"Tab Enter":         {[]action{moveKey, pressKey}, Yes, true},
		"Tab Tab Enter":     {[]action{moveKey, moveKey, pressKey}, No, true},
		"Right Enter":       {[]action{allowKey, pressKey}, Yes, true},
		"Right Right Enter": {[]action{allowKey, allowKey, pressKey}, Yes, true},
		"Right Left Enter":  {[]action{allowKey, denyKey, pressKey}, No, true},
		"Esc":               {[]action{refuseKey}, No, true},
		"Tab Esc":           {[]action{moveKey, refuseKey}, No, true},
		"letters":           {[]action{otherKey, otherKey}, No, false},
		"only Tab":          {[]action{moveKey}, No, false},
	} {
		in := ready()
		var answer Answer
		var done bool
		for i, k := range c.keys {
			assert.False(t, done, name)
			at := uint32(1000 + 100*i)
			answer, done = in.keyPress(at, byte(i), k, true)
			in.keyRelease(at+50, byte(i))
		}
		assert.Equal(t, c.done, done, name)
		assert.Equal(t, c.answer, answer, name)
	}
}

func TestNoLetterOrDigitIsAKey(t *testing.T) {
	for sym := uint32(0x21); sym < 0xfe00; sym++ {
		assert.Equal(t, otherKey, keysyms[sym], "keysym %#x", sym)
	}
}

func TestChordsDoNothing(t *testing.T) {
	c := ready()
	for _, k := range []action{moveKey, allowKey, pressKey, refuseKey} {
		_, done := c.keyPress(1000, byte(k), k, false)
		assert.False(t, done)
	}
	assert.Equal(t, denyButton, c.focus)
}

func TestEarlyInputDoesNothing(t *testing.T) {
	undrawn := newControls()
	_, done := undrawn.keyPress(5000, 1, pressKey, true)
	assert.False(t, done, "before the window was drawn")

	for _, start := range []uint32{0, 7000, 0xffffff00} { // the last wraps within the guard time
		c := newControls()
		c.begin(start, 0)
		_, done := c.keyPress(start+guardTime-1, 1, pressKey, true)
		assert.False(t, done)
		c.keyPress(start+guardTime-1, 2, moveKey, true)
		assert.Equal(t, denyButton, c.focus)
		c.mousePress(start+guardTime-1, 1, allowButton, 0)
		_, done = c.mouseRelease(1, allowButton)
		assert.False(t, done, "a click that began too early")
		_, done = c.keyPress(start+guardTime, 3, pressKey, true)
		assert.True(t, done)
	}
}

// A key that is held since before the window came repeats, and never answers.
func TestAHeldKeyDoesNothing(t *testing.T) {
	c := newControls()
	c.begin(0, 0)
	for at := uint32(30); at < 3000; at += 30 {
		c.keyRelease(at, 36)
		_, done := c.keyPress(at, 36, pressKey, true)
		assert.False(t, done, "at %d", at)
	}
	c.keyRelease(3010, 36)
	_, done := c.keyPress(3100, 36, pressKey, true)
	assert.True(t, done, "pressed anew")
}

func TestMouse(t *testing.T) {
	c := ready()
	c.mousePress(1000, 1, allowButton, 0)
	a, done := c.mouseRelease(1, allowButton)
	assert.True(t, done)
	assert.Equal(t, Yes, a)

	c = ready()
	c.mousePress(1000, 1, denyButton, 0)
	a, done = c.mouseRelease(1, denyButton)
	assert.True(t, done)
	assert.Equal(t, No, a)

	for name, in := range map[string]struct {
		n        byte
		from, to button
	}{
		"from Yes to No":    {1, allowButton, denyButton},
		"from No to Yes":    {1, denyButton, allowButton},
		"from outside":      {1, noButton, allowButton},
		"to outside":        {1, allowButton, noButton},
		"outside":           {1, noButton, noButton},
		"the middle button": {2, allowButton, allowButton},
		"the right button":  {3, allowButton, allowButton},
		"the wheel":         {4, allowButton, allowButton},
	} {
		c := ready()
		c.mousePress(1000, in.n, in.from, 0)
		_, done := c.mouseRelease(in.n, in.to)
		assert.False(t, done, name)
	}

	c = ready()
	_, done = c.mouseRelease(1, allowButton)
	assert.False(t, done, "a release without a press")
}

func TestAMouseButtonThatWasDownComesFirst(t *testing.T) {
	const left, right = 1 << 8, 1 << 10
	c := newControls()
	c.begin(0, right)
	c.mousePress(1000, 1, allowButton, right)
	_, done := c.mouseRelease(1, allowButton)
	assert.False(t, done, "the right one is still down")
	c.mouseMove(allowButton, 0)
	c.mousePress(2000, 1, allowButton, 0)
	a, done := c.mouseRelease(1, allowButton)
	assert.True(t, done)
	assert.Equal(t, Yes, a)

	// A new press of another button doesn't count as the old one.
	c = newControls()
	c.begin(0, left)
	c.mousePress(1000, 1, allowButton, 0)
	_, done = c.mouseRelease(1, allowButton)
	assert.True(t, done, "it had gone up, as the state of the press shows")
}

// Only Yes waits after a cover was taken away.
func TestYesWaitsForTheWindowToBeSeen(t *testing.T) {
	press := func(c *controls, at uint32) bool { _, done := c.keyPress(at, 1, pressKey, true); return done }
	click := func(c *controls, at uint32) bool {
		c.mousePress(at, 1, allowButton, 0)
		_, done := c.mouseRelease(1, allowButton)
		return done
	}
	c := ready()
	c.focus = allowButton
	c.clear = false // covered
	assert.False(t, press(c, 2000) || click(c, 2000))
	c.unveiled(3000)
	assert.False(t, press(c, 3000+guardTime-1) || click(c, 3000+guardTime-1))
	assert.True(t, press(c, 3000+guardTime))
	assert.True(t, click(c, 3000+guardTime))

	c.clear = false
	_, done := c.keyPress(4000, 2, refuseKey, true)
	assert.True(t, done)
	c.focus = denyButton
	assert.True(t, press(c, 4000))
}
