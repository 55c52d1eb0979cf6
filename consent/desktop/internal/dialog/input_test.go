package dialog

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

const guardTime = 500 // of GuardTime

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
		"Left Right Enter":  {[]action{denyKey, allowKey, pressKey}, No, false}, // an arrow that moves nothing is typing
		"Right Right Enter": {[]action{allowKey, allowKey, pressKey}, No, false},
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
			in.keyRelease(at+50, byte(i), k)
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
		again := func() *controls { c := newControls(); c.begin(start, 0); return c }
		for _, k := range []action{pressKey, moveKey, refuseKey} {
			c := again()
			_, done := c.keyPress(start+guardTime-1, 1, k, true)
			assert.False(t, done)
			assert.Equal(t, denyButton, c.focus)
			_, done = c.keyPress(start+2*guardTime-2, 3, pressKey, true)
			assert.False(t, done, "it begins again")
		}
		c := again()
		c.mousePress(start+guardTime-1, 1, allowButton, 0)
		_, done = c.mouseRelease(1, allowButton)
		assert.False(t, done, "a click that began too early")
		_, done = again().keyPress(start+guardTime, 3, pressKey, true)
		assert.True(t, done)
	}
}

// A key that is held since before the window came repeats, and never answers.
func TestAHeldKeyDoesNothing(t *testing.T) {
	c := newControls()
	c.begin(0, 0)
	for at := uint32(30); at < 3000; at += 30 {
		c.keyRelease(at, 36, pressKey)
		_, done := c.keyPress(at, 36, pressKey, true)
		assert.False(t, done, "at %d", at)
	}
	c.keyRelease(3010, 36, pressKey)
	_, done := c.keyPress(3010+guardTime, 36, pressKey, true)
	assert.True(t, done, "pressed anew")
}

// A stream types keys, so many milliseconds apart, the first at a time. It reports an answer.
func stream(c *controls, at, apart uint32, keys string) (Answer, bool) {
	meanings := map[rune]action{'⇥': moveKey, '→': allowKey, '↓': allowKey, '←': denyKey, '⏎': pressKey, ' ': pressKey, '⎋': refuseKey, '⇧': shiftKey}
	for _, r := range keys {
		if a, done := c.keyPress(at, byte(r), meanings[r], true); done {
			return a, true
		}
		c.keyRelease(at+apart*3/5, byte(r), meanings[r])
		at += apart
	}
	return No, false
}

// Somebody who is typing answers nothing, whenever the question comes, and moves no focus.
func TestTypingDoesNothing(t *testing.T) {
	for _, keys := range []string{
		"123456789⇥34⏎", "12⇥⏎34⇥⏎⇥⏎", "1→2→→⏎3↓⏎→→→⏎", "and then it ⏎so on⇥ ⎋", "→→→→→→⏎", "⇥⇥⇥⇥⇥ ", "⇧a⇧b ⇥⏎",
	} {
		runes := []rune(keys)
		for drawn := range len(runes) {
			c := newControls()
			at := uint32(5000)
			c.begin(at, 0)
			_, done := stream(c, at+20, 140, string(runes[drawn:]))
			assert.False(t, done, "%s from %d on", keys, drawn)
			assert.Equal(t, denyButton, c.focus, "%s from %d on", keys, drawn)
		}
	}
	c := ready()
	_, done := stream(c, 5000, 140, "a⇥⏎⇥ ⎋") // after a long pause
	assert.False(t, done)
}

// What a calm user has done before typing doesn't help a Yes along.
func TestTypingTakesTheFocusBack(t *testing.T) {
	c := ready()
	c.keyPress(1000, 1, moveKey, true)
	c.keyRelease(1050, 1, moveKey)
	assert.Equal(t, allowButton, c.focus)
	c.keyPress(1100, 2, otherKey, true)
	assert.Equal(t, denyButton, c.focus)
	_, done := c.keyPress(1100+guardTime-1, 3, pressKey, true)
	assert.False(t, done)
	c.keyRelease(1150+guardTime, 3, pressKey)
	a, done := c.keyPress(1150+2*guardTime, 3, pressKey, true)
	assert.True(t, done)
	assert.Equal(t, No, a)

	// A letter that is held is typed until it goes up.
	c = ready()
	c.keyPress(2000, 1, otherKey, true)
	c.keyRelease(2600, 1, otherKey)
	_, done = c.keyPress(2700, 2, pressKey, true)
	assert.False(t, done)
}

// Keys that mean something don't wait for one another.
func TestACalmUserIsHeardAtOnce(t *testing.T) {
	for keys, want := range map[string]Answer{"⇥⏎": Yes, "→ ": Yes, "⇧⇥⏎": Yes, "→←→←⏎": No, "→←→⏎": Yes, "⇥⇥⇥⏎": Yes, "⏎": No, "⇥⎋": No} {
		a, done := stream(ready(), 1000, 40, keys)
		assert.True(t, done, keys)
		assert.Equal(t, want, a, keys)
	}
	c := ready() // Tab is held, and repeats
	c.keyPress(1000, 1, moveKey, true)
	for at := uint32(1500); at < 2000; at += 30 {
		c.keyRelease(at, 1, moveKey)
		c.keyPress(at, 1, moveKey, true)
	}
	c.keyRelease(2000, 1, moveKey)
	a, done := c.keyPress(2100, 2, pressKey, true)
	assert.True(t, done)
	assert.Equal(t, Yes, a)
}

// Somebody who types slowly at something else, as one who leafs through slides does, pauses
// before each key for longer than guardTime.
func TestSlowTypingSaysNoYes(t *testing.T) {
	for _, keys := range []string{"→→ ", "→→→→ ", "↓↓⏎", "→→⏎", "←←→→ ", "→a⏎"} {
		for _, apart := range []uint32{guardTime + 1, 700, 1500, 4000} {
			a, _ := stream(ready(), 1000, apart, keys)
			assert.Equal(t, No, a, "%s every %d ms", keys, apart)
		}
	}
}

// The focus doesn't stay on Yes, and a key that comes as it goes answers nothing.
func TestTheFocusGoesBackToNo(t *testing.T) {
	for what, move := range map[string]func(c *controls){
		"Tab":   func(c *controls) { c.keyPress(1000, 1, moveKey, true); c.keyRelease(1050, 1, moveKey) },
		"Right": func(c *controls) { c.keyPress(1000, 1, allowKey, true); c.keyRelease(1050, 1, allowKey) },
		"mouse": func(c *controls) { c.mousePress(1000, 1, allowButton, 0); c.mouseRelease(1, noButton) },
	} {
		press := func(c *controls, at uint32) (Answer, bool) { return c.keyPress(at, 3, pressKey, true) }
		c := ready()
		move(c)
		a, done := press(c, 1000+focusTime-1)
		assert.True(t, done, what)
		assert.Equal(t, Yes, a, what)

		c = ready()
		move(c)
		_, done = press(c, 1000+focusTime) // sooner than lapse is called
		assert.False(t, done, what)
		assert.Equal(t, denyButton, c.focus, what)

		c = ready()
		move(c)
		c.lapse()
		assert.Equal(t, denyButton, c.focus, what)
		_, done = press(c, 1000+focusTime+guardTime-1)
		assert.False(t, done, what)

		c = ready()
		move(c)
		c.lapse()
		a, done = press(c, 1000+focusTime+guardTime)
		assert.True(t, done, what)
		assert.Equal(t, No, a, what)
	}
	c := ready()
	c.lapse()
	_, done := c.keyPress(1000, 3, pressKey, true)
	assert.True(t, done, "nothing lapses that wasn't moved")
}

// Somebody who clicks away in the window's place doesn't hit a button when it comes alive.
func TestAnEarlyClickWaitsAgain(t *testing.T) {
	c := newControls()
	c.begin(0, 0)
	for at := uint32(100); at < 2000; at += 300 {
		c.mousePress(at, 1, allowButton, 0)
		_, done := c.mouseRelease(1, allowButton)
		assert.False(t, done, "at %d", at)
	}
	c.mousePress(1900+guardTime, 1, allowButton, 0)
	_, done := c.mouseRelease(1, allowButton)
	assert.True(t, done)
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
	c.uncovered(3000)
	assert.False(t, press(c, 3000+guardTime-1) || click(c, 3000+guardTime-1))
	assert.True(t, press(c, 3000+guardTime))
	assert.True(t, click(c, 3000+guardTime))

	c.mousePress(4000, 1, allowButton, 0)
	c.cover() // as when the window is moved under the pointer
	c.uncovered(4000)
	_, done := c.mouseRelease(1, allowButton)
	assert.False(t, done, "it isn't the Yes that was pressed")

	c.clear = false
	_, done = c.keyPress(4000, 2, refuseKey, true)
	assert.True(t, done)
	c.focus = denyButton
	assert.True(t, press(c, 4000))
}

// What comes back onto the screen may come under a click that was meant for something else:
// nothing counts for half a second, as at first.
func TestInputIsIgnoredAfterTheWindowCameBack(t *testing.T) {
	c := ready()
	c.mousePress(2000, 1, denyButton, 0)
	c.leave()
	c.comeBack()
	_, done := c.mouseRelease(1, denyButton)
	assert.False(t, done, "the press was before")
	click := func(at uint32) bool {
		c.mousePress(at, 1, denyButton, 0)
		_, done := c.mouseRelease(1, denyButton)
		return done
	}
	assert.False(t, click(3000), "nobody has said since when it is back")
	c.uncovered(4000)
	assert.False(t, click(4000+guardTime-1))
	_, done = c.keyPress(4000+guardTime-1, 1, refuseKey, true)
	assert.False(t, done)
	assert.False(t, click(4000+2*guardTime-2), "it began again")
	assert.True(t, click(4000+3*guardTime))
	c.uncovered(9000) // it was only covered
	assert.True(t, click(9000))
}
