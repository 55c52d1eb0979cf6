package dialog

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// The banner's colours: dark, so that it can be told from what it lies on.
var (
	night     = color.RGBA{0x1d, 0x25, 0x2d, 0xff}
	nightEdge = color.RGBA{0x5b, 0x68, 0x75, 0xff}
	alarm     = color.RGBA{0xd9, 0x3a, 0x2b, 0xff} // the Stop button, and the eye
	alarmHot  = color.RGBA{0xe8, 0x52, 0x43, 0xff}
	alarmLow  = color.RGBA{0xb3, 0x2a, 0x1d, 0xff}
	calm      = color.RGBA{0x8b, 0x98, 0xa5, 0xff} // the eye when it is over

	mild = &ink{C: color.RGBA{0xc5, 0xce, 0xd6, 0xff}}
)

// The banner's sizes in pixels at 96 dots an inch.
const (
	bannerHeight = 38
	bannerPad    = 12
	bannerIcon   = 22
	bannerName   = 300 // at most, for the name
	bannerWhy    = 420 // at most, for why it ended
	stopHeight   = 26
	stopPad      = 16 // on either side of the word
)

// A bannerView is the banner's picture.
type bannerView struct {
	img   *image.RGBA
	scale float64
	stop  image.Rectangle // the button; empty when viewing has ended
	bold  *style
	drawn bool
	hover bool
	down  bool
}

// layoutBanner draws the banner for an administrator. why is empty while the
// administrator is viewing, and says why that has ended after.
func layoutBanner(admin, why string, over bool, lib *library, scale float64) *bannerView {
	v := &bannerView{scale: scale, bold: lib.style(lib.bold, 13*scale)}
	body := lib.style(lib.regular, 13*scale)
	name := oneLineOf([]span{{admin, v.bold, white}}, v.px(bannerName))
	text, eye := views, alarm
	if over {
		text, eye = ended, calm
	}
	says := oneLineOf([]span{{text, body, mild}}, v.px(bannerWhy))
	var reason line
	if over && why != "" {
		reason = oneLineOf([]span{{" · " + why, body, mild}}, v.px(bannerWhy))
	}
	word := oneLineOf([]span{{stops, v.bold, white}}, v.px(bannerName))
	stopWidth := word.width.Ceil() + 2*v.px(stopPad)

	height := v.px(bannerHeight)
	textLeft := v.px(bannerPad) + v.px(bannerIcon) + v.px(8)
	textRight := textLeft + name.width.Ceil() + says.width.Ceil() + reason.width.Ceil() + 3
	width := textRight + v.px(bannerPad)
	if !over {
		width += stopWidth + v.px(6)
	}
	v.img = image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(v.img, v.img.Rect, image.NewUniform(night), image.Point{}, draw.Src)
	strokeRect(v.img, v.img.Rect, v.px(1), nightEdge)
	icon := image.Rect(0, 0, v.px(bannerIcon), v.px(bannerIcon)).Add(image.Pt(v.px(bannerPad), (height-v.px(bannerIcon))/2))
	drawIcon(v.img, icon, eye, night)
	x := textLeft
	for _, l := range []line{name, says, reason} {
		drawLine(v.img, l, x, 0, height, body)
		x += l.width.Ceil()
	}
	if !over {
		top := (height - v.px(stopHeight)) / 2
		v.stop = image.Rect(width-top-stopWidth, top, width-top, top+v.px(stopHeight))
		v.update(false, false)
	}
	return v
}

// oneLineOf sets spans in one line, cut to a width.
func oneLineOf(spans []span, width int) line {
	if lines := breakLines(spans, width, 1); len(lines) > 0 {
		return lines[0]
	}
	return line{}
}

// px is a length at 96 dots an inch in pixels of the picture; never none.
func (v *bannerView) px(n float64) int { return max(1, int(math.Round(n*v.scale))) }

// update makes the button show whether the pointer is over it and whether it is being
// pressed, and returns the parts that changed.
func (v *bannerView) update(hover, down bool) []image.Rectangle {
	if v.stop.Empty() || v.drawn && v.hover == hover && v.down == down {
		return nil
	}
	v.drawn, v.hover, v.down = true, hover, down
	c := alarm
	switch {
	case hover && down:
		c = alarmLow
	case hover:
		c = alarmHot
	}
	draw.Draw(v.img, v.stop, image.NewUniform(night), image.Point{}, draw.Src)
	roundRect(v.img, v.stop, float32(v.px(5)), c)
	l := oneLineOf([]span{{stops, v.bold, white}}, v.stop.Dx())
	drawLine(v.img, l, v.stop.Min.X+(v.stop.Dx()-l.width.Round())/2, v.stop.Min.Y, v.stop.Dy(), v.bold)
	return []image.Rectangle{v.stop}
}
