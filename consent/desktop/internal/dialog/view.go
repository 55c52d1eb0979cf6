package dialog

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"time"

	"vda.internal/shadow/consent"
)

// A button is one of the two, or none.
type button int8

const (
	noButton    button = iota // neither
	denyButton                // No
	allowButton               // Yes
)

// The colours.
var (
	paper     = color.RGBA{0xff, 0xff, 0xff, 0xff}
	shade     = color.RGBA{0xf3, 0xf5, 0xf7, 0xff} // below the line
	frame     = color.RGBA{0x8a, 0x94, 0xa0, 0xff} // around a window without a window manager
	outline   = color.RGBA{0x7f, 0x8a, 0x97, 0xff} // of a button
	faint     = color.RGBA{0xb4, 0xbc, 0xc6, 0xff} // the same of a dead one
	hovered   = color.RGBA{0xe9, 0xed, 0xf1, 0xff}
	pressed   = color.RGBA{0xd9, 0xdf, 0xe6, 0xff}
	accent    = color.RGBA{0x0b, 0x5c, 0xad, 0xff}
	accentHot = color.RGBA{0x1a, 0x6d, 0xc1, 0xff} // hovered
	accentLow = color.RGBA{0x08, 0x47, 0x87, 0xff} // pressed
	ring      = color.RGBA{0x4a, 0x8f, 0xd4, 0xff} // around the button with the focus
	track     = color.RGBA{0xdf, 0xe5, 0xeb, 0xff} // of the bar
	late      = color.RGBA{0xc2, 0x41, 0x0c, 0xff} // the bar's last seconds
	warnPaper = color.RGBA{0xff, 0xf5, 0xdb, 0xff}
	warnEdge  = color.RGBA{0xe6, 0xc3, 0x6d, 0xff}

	black = &ink{C: color.RGBA{0x1b, 0x1f, 0x24, 0xff}}
	grey  = &ink{C: color.RGBA{0x4f, 0x59, 0x64, 0xff}}
	pale  = &ink{C: color.RGBA{0x8d, 0x96, 0xa0, 0xff}}
	brown = &ink{C: color.RGBA{0x5a, 0x42, 0x00, 0xff}}
	white = &ink{C: color.RGBA{0xff, 0xff, 0xff, 0xff}}
)

// Sizes in pixels at 96 dots an inch.
const (
	viewWidth    = 520
	margin       = 24
	iconSize     = 48
	iconGap      = 20
	footHeight   = 68
	barHeight    = 4
	buttonWidth  = 92 // at least
	buttonWidest = 150
	buttonPad    = 16 // on either side of the word
	buttonHeight = 36
	buttonGap    = 12
	ringGap      = 2 // between a button and its ring
	ringWidth    = 2
)

// A state is what changes in the picture while it is shown.
type state struct {
	left   time.Duration // until the question lapses
	ready  bool          // input counts; the buttons look dead before
	barred bool          // Yes doesn't count, and looks dead
	typing bool          // no key counts; the ring around the focus looks dead
	focus  button
	hover  button // the pointer is over it
	down   button // it is being pressed
}

// A view is the dialog's picture.
type view struct {
	img      *image.RGBA
	scale    float64
	question Question

	deny, allow image.Rectangle // the buttons
	bar, note   image.Rectangle

	body, strong *style
	shown        *state // what img shows; nil before the first update
}

// layout draws what never changes and decides where the rest goes. framed adds
// the edge that a window manager would give.
func layout(q Question, lib *library, scale float64, framed bool) *view {
	v := &view{scale: scale, question: q, body: lib.style(false, 14*scale), strong: lib.style(true, 14*scale)}
	title := lib.style(false, 19*scale)

	left := v.px(margin + iconSize + iconGap)
	width := v.px(viewWidth) - left - v.px(margin)
	inset := v.px(12) // of the note about who is watching now
	// A name may take so many lines that the words around it still have room.
	head := balanceLines(spans(q.Head, tone{title, lib.style(true, 19*scale), black, black, 3 * width}, 0), width, 6)
	doubt := balanceLines(spans(q.Doubt, tone{v.body, v.strong, brown, brown, width}, 0), width, 4)
	quiet := tone{v.body, v.body, grey, black, 2 * width}
	bar := v.px(14) // from the bar at the left of the administrator's own words to these
	why := balanceLines(spans(q.Purpose, tone{v.body, v.strong, grey, black, 0}, 0), width-bar, q.purposeLines())
	text := balanceLines(spans(q.Sees, quiet, 0), width, 6)
	text = append(text, balanceLines(spans(q.Cannot, quiet, 0), width, 4)...)
	for _, rule := range []consent.Sentence{q.Locks, q.Basis} {
		text = append(text, balanceLines(spans(rule, tone{v.body, v.body, black, black, 0}, 0), width, 4)...)
	}
	warn := balanceLines(spans(q.Replaces, tone{v.body, v.strong, brown, brown, 2 * width}, 0), width-2*inset, 7)
	warn = append(warn, balanceLines(spans(q.Watcher, tone{v.body, v.strong, brown, brown, 0}, 0), width-2*inset, 4)...)

	headLine, textLine := v.px(27), v.px(21)
	headTop := v.px(margin - 2)
	headEnd := headTop + len(head)*headLine
	doubtTop, whyTop := headEnd+v.px(4), headEnd+v.px(8)
	if len(doubt) > 0 {
		whyTop += len(doubt)*textLine + v.px(4)
	}
	textTop := whyTop
	if len(why) > 0 {
		textTop += len(why)*textLine + v.px(10)
	}
	warnTop := textTop + len(text)*textLine + v.px(14)
	y := textTop + len(text)*textLine
	if len(warn) > 0 {
		y = warnTop + len(warn)*textLine + v.px(16)
	}
	foot := max(y, v.px(margin+iconSize)) + v.px(margin-2)

	v.img = image.NewRGBA(image.Rect(0, 0, v.px(viewWidth), foot+v.px(footHeight)))
	draw.Draw(v.img, v.img.Rect, image.NewUniform(paper), image.Point{}, draw.Src)
	drawIcon(v.img, image.Rect(0, 0, v.px(iconSize), v.px(iconSize)).Add(image.Pt(v.px(margin), v.px(margin))), accent, paper)
	drawLines(v.img, head, left, headTop, headLine, title)
	drawLines(v.img, doubt, left, doubtTop, textLine, v.body)
	if len(why) > 0 {
		draw.Draw(v.img, image.Rect(left, whyTop, left+v.px(3), textTop-v.px(10)), image.NewUniform(track), image.Point{}, draw.Src)
		drawLines(v.img, why, left+bar, whyTop, textLine, v.body)
	}
	drawLines(v.img, text, left, textTop, textLine, v.body)
	if len(warn) > 0 {
		box := image.Rect(left, warnTop, left+width, y)
		outlined(v.img, box, float32(v.px(6)), v.px(1), warnEdge, warnPaper)
		drawLines(v.img, warn, left+inset, warnTop+v.px(8), textLine, v.body)
	}
	v.layoutFoot(foot)
	if framed {
		v.addEdge()
	}
	return v
}

// addEdge draws an edge around the picture, for want of a window manager's frame.
func (v *view) addEdge() {
	strokeRect(v.img, v.img.Rect, v.px(1), frame)
	v.bar = v.bar.Intersect(v.img.Rect.Inset(v.px(1)))
}

// layoutFoot places bar, note and buttons below top.
func (v *view) layoutFoot(top int) {
	b := v.img.Rect
	foot := image.Rect(0, top, b.Max.X, b.Max.Y)
	draw.Draw(v.img, foot, image.NewUniform(shade), image.Point{}, draw.Src)
	v.bar = image.Rect(0, top, b.Max.X, top+v.px(barHeight))

	y := top + v.px(barHeight) + (foot.Dy()-v.px(barHeight)-v.px(buttonHeight))/2
	right := b.Max.X - v.px(margin)
	width := v.px(buttonWidth)                                      // of both, so that neither looks the weightier
	for _, label := range []string{v.question.No, v.question.Yes} { // the second is empty in a notice
		l := oneLineOf([]span{{text: label, style: v.strong, ink: black}}, v.px(buttonWidest-2*buttonPad))
		width = max(width, l.width.Ceil()+2*v.px(buttonPad))
	}
	v.allow = image.Rect(right-width, y, right, y+v.px(buttonHeight))
	v.deny = v.allow.Sub(image.Pt(width+v.px(buttonGap), 0))
	if v.question.Notice > 0 {
		v.deny, v.allow = v.allow, image.Rectangle{}
	}
	v.note = image.Rect(v.px(margin), y, v.deny.Min.X-v.px(buttonGap), y+v.px(buttonHeight))
}

// parts are the parts of the picture of which each says something: the words, and each button.
func (v *view) parts() []image.Rectangle {
	words := v.img.Rect
	words.Max.Y = v.bar.Min.Y
	parts := []image.Rectangle{words, v.deny}
	if !v.allow.Empty() {
		parts = append(parts, v.allow)
	}
	return parts
}

// px is a length at 96 dots an inch in pixels of the picture; never none.
func (v *view) px(n float64) int { return max(1, int(math.Round(n*v.scale))) }

// at is the button at a place.
func (v *view) at(x, y int) button {
	switch p := image.Pt(x, y); {
	case p.In(v.deny):
		return denyButton
	case p.In(v.allow):
		return allowButton
	}
	return noButton
}

// update makes the picture show s and returns the parts that changed.
func (v *view) update(s state) []image.Rectangle {
	old := v.shown
	v.shown = &s
	var dirty []image.Rectangle
	if old == nil || v.filled(old.left) != v.filled(s.left) || isLate(old.left) != isLate(s.left) {
		v.drawBar(s.left)
		dirty = append(dirty, v.bar)
	}
	if old == nil || seconds(old.left) != seconds(s.left) {
		v.drawNote(s.left)
		dirty = append(dirty, v.note)
	}
	if old == nil || old.ready != s.ready || old.barred != s.barred || old.typing != s.typing || old.focus != s.focus || old.hover != s.hover || old.down != s.down {
		dirty = append(dirty, v.drawButton(v.deny, v.question.No, denyButton, s))
		if !v.allow.Empty() {
			dirty = append(dirty, v.drawButton(v.allow, v.question.Yes, allowButton, s))
		}
	}
	return dirty
}

// seconds is how many the note says: no question is ever over before it says 0.
func seconds(left time.Duration) int {
	return max(0, int((left+time.Second-1)/time.Second))
}

func isLate(left time.Duration) bool { return left <= 5*time.Second }

// filled is the length of the bar in pixels.
func (v *view) filled(left time.Duration) int {
	if v.question.Left <= 0 {
		return 0
	}
	return int(float64(v.bar.Dx()) * min(1, max(0, float64(left)/float64(v.question.Left))))
}

func (v *view) drawBar(left time.Duration) {
	c := accent
	if isLate(left) {
		c = late
	}
	full := v.bar
	full.Max.X = full.Min.X + v.filled(left)
	draw.Draw(v.img, v.bar, image.NewUniform(track), image.Point{}, draw.Src)
	draw.Draw(v.img, full, image.NewUniform(c), image.Point{}, draw.Src)
}

// drawNote says what silence means, in the middle of its place if that takes two lines.
func (v *view) drawNote(left time.Duration) {
	draw.Draw(v.img, v.note, image.NewUniform(shade), image.Point{}, draw.Src)
	text := balanceLines(spans(v.question.Countdown, tone{v.body, v.strong, grey, black, 0}, seconds(left)), v.note.Dx(), 2)
	height := v.note.Dy() / 2
	drawLines(v.img, text, v.note.Min.X, v.note.Min.Y+(v.note.Dy()-len(text)*height)/2, height, v.body)
}

// drawButton draws one button and returns the part it may have changed.
func (v *view) drawButton(r image.Rectangle, label string, b button, s state) image.Rectangle {
	edge, inside, text, st := outline, paper, black, v.body
	hot, low := hovered, pressed
	halo := r.Inset(-v.px(ringGap) - v.px(ringWidth))
	draw.Draw(v.img, halo, image.NewUniform(shade), image.Point{}, draw.Src)
	radius := float64(6)
	dead := !s.ready || s.barred && b == allowButton
	if s.focus == b {
		c := ring
		if dead || s.typing {
			c = faint
		}
		outlined(v.img, halo, float32(v.px(radius+ringGap+ringWidth)), v.px(ringWidth), c, shade)
	}
	switch {
	case dead:
		edge, text = faint, pale
	case s.focus == b:
		edge, inside, text, st = accent, accent, white, v.strong
		hot, low = accentHot, accentLow
	}
	switch {
	case dead:
	case s.down == b && s.hover == b:
		edge, inside = low, low
	case s.hover == b && s.down == noButton:
		inside = hot
	}
	outlined(v.img, r, float32(v.px(radius)), v.px(1), edge, inside)
	l := oneLineOf([]span{{text: label, style: st, ink: text}}, r.Dx()-v.px(2))
	drawLine(v.img, l, r.Min.X+(r.Dx()-l.width.Round())/2, r.Min.Y, r.Dy(), st)
	return halo
}

// oneLineOf sets spans in one line, cut to a width.
func oneLineOf(spans []span, width int) line {
	if lines := breakLines(spans, width, 1); len(lines) > 0 {
		return lines[0]
	}
	return line{}
}
