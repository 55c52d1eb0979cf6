package dialog

import (
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"
	"time"
)

// The banner's colours: dark, so that it can be told from what it lies on.
var (
	night     = color.RGBA{0x1d, 0x25, 0x2d, 0xff}
	nightEdge = color.RGBA{0x5b, 0x68, 0x75, 0xff}
	alarm     = color.RGBA{0xd9, 0x3a, 0x2b, 0xff} // the Stop button, and the eye
	alarmHot  = color.RGBA{0xc4, 0x30, 0x22, 0xff}
	alarmLow  = color.RGBA{0xa1, 0x24, 0x18, 0xff}
	slate     = color.RGBA{0x4a, 0x57, 0x64, 0xff} // the other button
	slateHot  = color.RGBA{0x56, 0x65, 0x74, 0xff}
	slateLow  = color.RGBA{0x3a, 0x46, 0x52, 0xff}
	calm      = color.RGBA{0x8b, 0x98, 0xa5, 0xff} // the eye when it is over

	mild  = &ink{C: color.RGBA{0xd5, 0xdc, 0xe2, 0xff}}
	amber = &ink{C: color.RGBA{0xf2, 0xc1, 0x4e, 0xff}} // what is only claimed, and what allows it without an answer
	dim   = &ink{C: color.RGBA{0xa9, 0xb5, 0xc0, 0xff}} // why it ended
)

// The banner's sizes in pixels at 96 dots an inch.
const (
	bannerPad     = 12 // at its left, and right if nothing stands there
	bannerPadV    = 9  // above and below the text
	bannerLine    = 20
	bannerBelow   = 3 // between what happened and why
	bannerIcon    = 22
	bannerGap     = 10  // between icon, text and button
	bannerName    = 300 // at most, for a name
	bannerText    = 520 // at most, for a line
	bannerLeast   = 120 // for a line, however narrow the screen is
	bannerPurpose = 7   // lines at most: 200 wide characters fit
	stopHeight    = 26
	toggleGap     = 8  // between the buttons
	stopPad       = 16 // on either side of the word
	stopWidest    = 200
)

// A bannerView is the banner's picture.
type bannerView struct {
	img   *image.RGBA
	scale float64
	word  line            // on Stop
	stop  image.Rectangle // the button; empty when viewing has ended
	other line            // on the other button
	pause image.Rectangle // that one; empty if there is none

	seconds int // that are shown, if any
	bold    *style
	drawn   bool
	hover   bannerButton
	down    bannerButton
}

// A bannerButton is one of a banner's buttons, or none.
type bannerButton uint8

const (
	noBannerButton bannerButton = iota
	stopButton
	toggleButton
)

// at is the button at a place.
func (v *bannerView) at(x, y int) bannerButton {
	switch p := image.Pt(x, y); {
	case p.In(v.stop):
		return stopButton
	case p.In(v.pause):
		return toggleButton
	}
	return noBannerButton
}

// parts are the parts of the picture of which each says something: the words, and each button.
func (v *bannerView) parts() []image.Rectangle {
	words, parts := v.img.Rect, []image.Rectangle(nil)
	for _, button := range []image.Rectangle{v.stop, v.pause} {
		if !button.Empty() {
			words.Max.X = min(words.Max.X, button.Min.X)
			parts = append(parts, button)
		}
	}
	return append(parts, words)
}

// fitBanner draws the banner while somebody is viewing so that it fits a monitor, if that can be done: at a scale
// or a smaller one, and with fewer lines of the purpose rather than smaller than at 96 dots an inch.
func fitBanner(n Notice, lib *library, scale float64, room image.Point) *bannerView {
	for ; ; scale -= scaleStep {
		for n.mostPurpose = bannerPurpose; ; n.mostPurpose-- {
			v := layoutBanner(n, lib, scale, room.X)
			fewer := n.Purpose != nil && n.mostPurpose > 1 && scale-scaleStep < 1 && v.img.Rect.Dx() <= room.X // lines may help
			if v.fits(room) || !fewer && scale-scaleStep < minScale {
				return v
			}
			if !fewer {
				break
			}
		}
	}
}

// fitEnd is fitBanner when viewing has ended.
func fitEnd(n Notice, why string, lib *library, scale float64, room image.Point) *bannerView {
	for ; ; scale -= scaleStep {
		if v := layoutEnd(n, why, lib, scale, room.X); v.fits(room) || scale-scaleStep < minScale {
			return v
		}
	}
}

// fits reports whether a monitor has room for all of the picture.
func (v *bannerView) fits(room image.Point) bool {
	return v.img.Rect.Dx() <= room.X && v.img.Rect.Dy() <= room.Y
}

// layoutBanner draws the banner while somebody is viewing, no wider than room pixels if
// that can be done.
func layoutBanner(n Notice, lib *library, scale float64, room int) *bannerView {
	v := newBannerView(lib, scale)
	v.word = oneLineOf([]span{{text: n.Stop, style: v.bold, ink: white}}, v.px(stopWidest))
	button := v.word.width.Ceil() + 2*v.px(stopPad)
	other := 0 // width of the other button, with the gap before Stop
	if n.Toggle != "" {
		v.other = oneLineOf([]span{{text: n.Toggle, style: v.bold, ink: white}}, v.px(stopWidest))
		other = v.other.width.Ceil() + 2*v.px(stopPad) + v.px(toggleGap)
	}
	if !n.Until.IsZero() {
		v.seconds = seconds(time.Until(n.Until))
	}
	eye := alarm
	if n.Paused {
		eye = calm
	}
	inset := (v.px(bannerLine) + 2*v.px(bannerPadV) - v.px(stopHeight)) / 2 // of the button
	body := lib.style(false, 13*scale)
	width := v.lineRoom(room - other - button - v.px(bannerGap) - inset)
	text := balanceLines(spans(n.Viewing, v.tone(body, width), v.seconds), width, 3)
	why := balanceLines(spans(n.Doubt, tone{body, body, amber, amber, width}, 0), width, 3)
	why = append(why, balanceLines(spans(n.Purpose, tone{body, body, dim, mild, 0}, 0), width, cmp.Or(n.mostPurpose, bannerPurpose))...)
	why = append(why, balanceLines(spans(n.Basis, tone{body, body, amber, amber, 0}, 0), width, 3)...)
	right := v.draw(text, why, body, eye, other+button+v.px(bannerGap)+inset)
	top := (v.img.Rect.Dy() - v.px(stopHeight)) / 2
	v.stop = image.Rect(right-inset-button, top, right-inset, top+v.px(stopHeight))
	if n.Toggle != "" {
		v.pause = image.Rect(v.stop.Min.X-other, top, v.stop.Min.X-v.px(toggleGap), v.stop.Max.Y)
	}
	v.update(noBannerButton, noBannerButton)
	return v
}

// layoutEnd draws the banner when viewing has ended, with the words that say why below.
func layoutEnd(n Notice, why string, lib *library, scale float64, room int) *bannerView {
	v := newBannerView(lib, scale)
	body := lib.style(false, 13*scale)
	width := v.lineRoom(room - v.px(bannerPad))
	text := balanceLines(spans(n.Ended, v.tone(body, width), 0), width, 3)
	reason := balanceLines(spans(n.Doubt, tone{body, body, amber, amber, width}, 0), width, 3)
	if why != "" {
		reason = append(reason, balanceLines([]span{{text: why, style: body, ink: dim}}, width, 3)...)
	}
	v.draw(text, reason, body, calm, v.px(bannerPad))
	return v
}

func newBannerView(lib *library, scale float64) *bannerView {
	return &bannerView{scale: scale, bold: lib.style(true, 13*scale)}
}

// tone is how the banner's sentences look in lines of a width.
func (v *bannerView) tone(body *style, width int) tone {
	return tone{body, v.bold, mild, white, min(v.px(bannerName), width*3/2)}
}

// lineRoom is the width of a line if so much is left beside icon and margin.
func (v *bannerView) lineRoom(left int) int {
	left -= v.px(bannerPad) + v.px(bannerIcon) + v.px(bannerGap)
	return max(v.px(bannerLeast), min(left, v.px(bannerText)))
}

// draw draws everything but the button, which gets its place at the right. It returns
// where the picture ends there.
func (v *bannerView) draw(text, below []line, body *style, eye color.RGBA, right int) int {
	all := slices.Concat(text, below)
	wide := 0
	for _, l := range all {
		wide = max(wide, l.width.Ceil())
	}
	left := v.px(bannerPad) + v.px(bannerIcon) + v.px(bannerGap)
	gap := 0
	if len(below) > 0 {
		gap = v.px(bannerBelow)
	}
	v.img = image.NewRGBA(image.Rect(0, 0, left+wide+right, max(1, len(all))*v.px(bannerLine)+gap+2*v.px(bannerPadV)))
	draw.Draw(v.img, v.img.Rect, image.NewUniform(night), image.Point{}, draw.Src)
	strokeRect(v.img, v.img.Rect, v.px(1), nightEdge)
	icon := image.Rect(0, 0, v.px(bannerIcon), v.px(bannerIcon))
	drawIcon(v.img, icon.Add(image.Pt(v.px(bannerPad), (v.img.Rect.Dy()-v.px(bannerIcon))/2)), eye, night)
	drawLines(v.img, text, left, v.px(bannerPadV), v.px(bannerLine), body)
	drawLines(v.img, below, left, v.px(bannerPadV)+len(text)*v.px(bannerLine)+gap, v.px(bannerLine), body)
	return v.img.Rect.Dx()
}

// px is a length at 96 dots an inch in pixels of the picture; never none.
func (v *bannerView) px(n float64) int { return max(1, int(math.Round(n*v.scale))) }

// update makes the button show whether the pointer is over it and whether it is being
// pressed, and returns the parts that changed.
func (v *bannerView) update(hover, down bannerButton) []image.Rectangle {
	if v.stop.Empty() || v.drawn && v.hover == hover && v.down == down {
		return nil
	}
	v.drawn, v.hover, v.down = true, hover, down
	v.drawButton(v.stop, v.word, stopButton, [3]color.RGBA{alarm, alarmHot, alarmLow})
	if v.pause.Empty() {
		return []image.Rectangle{v.stop}
	}
	v.drawButton(v.pause, v.other, toggleButton, [3]color.RGBA{slate, slateHot, slateLow})
	return []image.Rectangle{v.stop, v.pause}
}

// drawButton draws a button in the first of its colours, the second if the pointer is over it, or the
// third if it is being pressed.
func (v *bannerView) drawButton(r image.Rectangle, word line, b bannerButton, colours [3]color.RGBA) {
	c := colours[0]
	switch {
	case v.hover == b && v.down == b:
		c = colours[2]
	case v.hover == b:
		c = colours[1]
	}
	draw.Draw(v.img, r, image.NewUniform(night), image.Point{}, draw.Src)
	roundRect(v.img, r, float32(v.px(5)), c)
	drawLine(v.img, word, r.Min.X+(r.Dx()-word.width.Round())/2, r.Min.Y, r.Dy(), v.bold)
}
