package dialog

// GuardTime is how many milliseconds after the window was drawn input begins to
// count, so that a click or key meant for what was there before answers nothing. It is a variable for
// tests, which can't be sure to click within half a second.
var GuardTime int32 = 500

// focusTime is how many milliseconds after the user has moved the focus to Yes it goes back to
// No. Somebody who types at something else, slowly, may move it without knowing.
const focusTime = 5000

// repeatTime is how many milliseconds at most lie between the release and the
// press of a key that is held down and repeats. They are one event in truth.
const repeatTime = 2

// An Answer is what the user did. The zero value is no.
type Answer uint8

// The answers.
const (
	No     Answer = iota
	Yes           // the only one that lets anybody watch
	Closed        // the window was closed, or taken away
	Locked        // the screen is locked, or was locked meanwhile
)

// An action is a key's meaning.
type action uint8

const (
	otherKey  action = iota // means nothing here
	moveKey                 // to the other button
	denyKey                 // to No
	allowKey                // to Yes
	pressKey                // the button with the focus
	refuseKey               // Esc
	shiftKey                // Shift, which makes Tab go backwards and types nothing by itself
)

// keysyms are the keys that mean something (X11 protocol, appendix A). No letter
// is among them: somebody who is typing must not answer by it.
var keysyms = map[uint32]action{
	0xff09: moveKey, 0xfe20: moveKey, // Tab, ISO_Left_Tab
	0xff51: denyKey, 0xff52: denyKey, 0xff96: denyKey, 0xff97: denyKey, // Left, Up and the keypad's
	0xff53: allowKey, 0xff54: allowKey, 0xff98: allowKey, 0xff99: allowKey, // Right, Down
	0xff0d: pressKey, 0xff8d: pressKey, 0x0020: pressKey, // Return, KP_Enter, space
	0xff1b: refuseKey, // Escape
	0xffe1: shiftKey, 0xffe2: shiftKey,
}

// Controls decide what the user's input means. Times are the X server's, in
// milliseconds; they wrap.
type controls struct {
	focus, hover, down button
	noYes              bool // there is but one button, which refuses

	drawn    bool
	drawnAt  uint32 // when it was drawn first, or came back onto the screen
	gone     bool   // it isn't on the screen
	hidden   bool   // it has come back, and uncovered hasn't said when
	clear    bool   // nothing covers the window
	clearAt  uint32
	movedAt  uint32          // when the user moved the focus to Yes
	typedAt  uint32          // when the last key came that was typed at something else
	held     uint16          // mouse buttons that were down when the window came, until they go up
	released map[byte]uint32 // when a key was last released
	counted  map[byte]bool   // whether its last press counted
}

func newControls() *controls {
	return &controls{focus: denyButton, released: map[byte]uint32{}, counted: map[byte]bool{}}
}

// begin says that the window is on the screen since at, and which mouse buttons
// were down when it came.
func (c *controls) begin(at uint32, held uint16) {
	c.drawn, c.drawnAt, c.typedAt, c.held = true, at, at, held
	c.uncovered(at)
}

// uncovered says that nothing covers the window any longer since at. A Yes needs GuardTime to pass
// from then on as well, or somebody could take a cover away under the user's hand. A
// No needs nothing.
func (c *controls) uncovered(at uint32) {
	c.clear, c.clearAt = true, at
	if c.hidden {
		c.hidden, c.drawnAt = false, at
	}
}

// leave says that the window is not on the screen, or not all of it. Nothing counts until
// it is there again.
func (c *controls) leave() { c.gone, c.down = true, noButton }

// comeBack says that the window is on the screen again. From uncovered on GuardTime must pass
// before anything counts, as when the window came first.
func (c *controls) comeBack() { c.gone, c.hidden, c.down = false, true, noButton }

// cover says that the user doesn't see the window as it is.
func (c *controls) cover() {
	c.clear = false
	if c.down == allowButton {
		c.down = noButton
	}
}

// mayPress reports whether a button may be pressed at a time.
func (c *controls) mayPress(at uint32, b button) bool {
	return b != allowButton || c.clear && int32(at-c.clearAt) >= GuardTime
}

// early reports whether input of a time doesn't count yet.
func (c *controls) early(at uint32) bool {
	return !c.drawn || c.gone || c.hidden || int32(at-c.drawnAt) < GuardTime
}

// typing reports whether the user types, at something else than the question: for GuardTime
// after a key that didn't count. Then no key counts.
func (c *controls) typing(at uint32) bool { return int32(at-c.typedAt) < GuardTime }

// typed takes a sign that the user types: No gets the focus, and GuardTime begins again.
func (c *controls) typed(at uint32) {
	c.focus = denyButton
	if int32(at-c.typedAt) > 0 {
		c.typedAt = at
	}
}

// lapse gives the focus back to No when it has been on Yes for focusTime. It counts as typing,
// so that a key which comes at that moment answers nothing.
func (c *controls) lapse() {
	if c.focus == allowButton {
		c.typed(c.movedAt + focusTime)
	}
}

// keyPress takes a key. plain is false if Control, Alt or Super is down with it. A key that
// means nothing here belongs to a text, and so do those that come before the user has paused,
// and an arrow towards the button that has the focus already.
func (c *controls) keyPress(at uint32, key byte, means action, plain bool) (Answer, bool) {
	if up, ok := c.released[key]; ok && at-up <= repeatTime {
		return No, false
	}
	if means == shiftKey {
		return No, false
	}
	c.counted[key] = false
	stale := c.focus == allowButton && int32(at-c.movedAt) >= focusTime
	idle := means == denyKey && c.focus == denyButton || means == allowKey && c.focus == allowButton
	if means == otherKey || !plain || c.early(at) || c.typing(at) || stale || idle {
		c.typed(at)
		return No, false
	}
	c.counted[key] = true
	switch means {
	case moveKey:
		c.give(at, denyButton+allowButton-c.focus)
	case denyKey:
		c.give(at, denyButton)
	case allowKey:
		c.give(at, allowButton)
	case pressKey:
		return answers(c.focus), c.mayPress(at, c.focus)
	case refuseKey:
		return No, true
	}
	return No, false
}

// give gives a button the focus.
func (c *controls) give(at uint32, b button) {
	if !c.noYes || b != allowButton {
		c.focus, c.movedAt = b, at
	}
}

// keyRelease takes the end of a key, or of one of its repetitions. It is typing, too, if the
// press didn't count, such as that of a key which is held since before the window came.
func (c *controls) keyRelease(at uint32, key byte, means action) {
	c.released[key] = at
	if means != shiftKey && !c.counted[key] {
		c.typed(at)
	}
}

// mousePress takes mouse button n over b. mask is the buttons that were down before it.
// One that comes too early makes GuardTime begin again.
func (c *controls) mousePress(at uint32, n byte, b button, mask uint16) {
	c.hover = b
	c.held &= mask
	if c.drawn && c.early(at) && int32(at-c.drawnAt) > 0 {
		c.drawnAt = at // somebody who clicks away at something else goes on for a while
	}
	if n == 1 && c.held == 0 && !c.early(at) && c.mayPress(at, b) {
		c.down = b
		if b != noButton {
			c.give(at, b)
		}
	}
}

// mouseRelease takes the end of a press. It answers if it is where the press was.
func (c *controls) mouseRelease(n byte, b button) (Answer, bool) {
	c.hover = b
	if n != 1 {
		return No, false
	}
	was := c.down
	c.down = noButton
	return answers(b), was != noButton && was == b
}

// mouseMove takes the pointer being over b. mask is the buttons that are down.
func (c *controls) mouseMove(b button, mask uint16) {
	c.hover = b
	c.held &= mask
}

func answers(b button) Answer {
	if b == allowButton {
		return Yes
	}
	return No
}
