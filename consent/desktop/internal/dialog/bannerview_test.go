package dialog

import (
	"image"
	"image/color"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/consent"
)

func notice(admin string) Notice {
	return Notice{
		Language: "en", Stop: "Stop",
		Viewing: consent.Sentence{{Text: admin, Role: consent.Name}, {Text: " is viewing your screen"}},
		Ended:   consent.Sentence{{Text: admin, Role: consent.Name}, {Text: " is no longer viewing your screen"}},
	}
}

// However narrow the screen is, the banner and the notice that follows it stay on it,
// by taking more lines.
func TestBannerFitsTheScreen(t *testing.T) {
	lib := testLibrary(t, "en")
	why := "the viewer tried something that is not allowed, and was disconnected at once"
	for _, name := range append(hostile, `CORP\alice`) {
		for _, scale := range []float64{1, 2} {
			wide, wideEnd := layoutBanner(notice(name), lib, scale, 4000), layoutEnd(notice(name), why, lib, scale, 4000)
			assert.LessOrEqual(t, wide.img.Rect.Dx(), int(700*scale))
			for _, room := range []int{320, 480, 640, 950} {
				v, end := layoutBanner(notice(name), lib, scale, int(float64(room)*scale)), layoutEnd(notice(name), why, lib, scale, int(float64(room)*scale))
				assert.LessOrEqual(t, v.img.Rect.Dx(), int(float64(room)*scale), "%q", name)
				assert.LessOrEqual(t, end.img.Rect.Dx(), int(float64(room)*scale), "%q", name)
				assert.GreaterOrEqual(t, v.img.Rect.Dy(), wide.img.Rect.Dy())
				assert.GreaterOrEqual(t, end.img.Rect.Dy(), wideEnd.img.Rect.Dy())
				assert.True(t, v.stop.In(v.img.Rect) && !v.stop.Empty(), "%v in %v", v.stop, v.img.Rect)
				assert.True(t, end.stop.Empty())
			}
		}
	}
	assert.Greater(t, layoutEnd(notice("alice"), why, lib, 1, 320).img.Rect.Dy(), layoutEnd(notice("alice"), why, lib, 1, 950).img.Rect.Dy())
}

// Whatever the banner says, in whatever language, all of it is on the screen, and so is Stop.
func TestBannerFitsWithBothButtons(t *testing.T) {
	for language, w := range sixLanguages(t) {
		lib := testLibrary(t, language)
		for _, scale := range []float64{1, 2} {
			for _, room := range []image.Point{{320, 240}, {640, 480}, {1920, 1080}} {
				paused := Notice{Viewing: w.Paused, Doubt: w.Doubt, Purpose: w.Purpose, Basis: w.Basis, Stop: w.Stop, Toggle: w.Resume, Paused: true, Ended: w.Ended}
				viewing, away := paused, paused
				viewing.Viewing, viewing.Toggle, viewing.Paused = w.Viewing, w.Pause, false
				away.Viewing, away.Toggle, away.Until = w.Away, "", time.Now().Add(time.Minute)
				for _, n := range []Notice{viewing, paused, away} {
					v := fitBanner(n, lib, scale, room)
					assert.True(t, v.img.Rect.In(image.Rectangle{Max: room}), "%s, %v: %v", language, room, v.img.Rect)
					assert.True(t, v.stop.In(v.img.Rect) && v.pause.In(v.img.Rect), "%s: %v and %v in %v", language, v.stop, v.pause, v.img.Rect)
					assert.False(t, v.stop.Empty())
					assert.Equal(t, n.Toggle == "", v.pause.Empty())
				}
				assert.True(t, fitEnd(paused, w.Reason("viewer_violation"), lib, scale, room).img.Rect.In(image.Rectangle{Max: room}), language)
			}
		}
		assert.InDelta(t, 2, fitBanner(Notice{Viewing: w.Viewing, Stop: w.Stop, Toggle: w.Pause}, lib, 2, image.Pt(1920, 1080)).scale, 0, "it is no smaller than need be")
	}
}

// The last words mark a name that is only claimed, as the banner does while somebody is viewing.
func TestEndMarksAClaim(t *testing.T) {
	for language, w := range sixLanguages(t) {
		lib := testLibrary(t, language)
		n := Notice{Viewing: w.Viewing, Ended: w.Ended, Stop: w.Stop}
		without := layoutEnd(n, w.Reason("viewer_left"), lib, 1, 640)
		assert.False(t, has(without.img, amber.C.(color.RGBA)), language)
		n.Doubt = w.Doubt
		v := layoutEnd(n, w.Reason("viewer_left"), lib, 1, 640)
		assert.True(t, has(v.img, amber.C.(color.RGBA)), language)
		assert.GreaterOrEqual(t, v.img.Rect.Dy(), without.img.Rect.Dy()+bannerLine, language)
	}
}

// has reports whether a picture has a pixel of a colour.
func has(img *image.RGBA, c color.RGBA) bool {
	for i := 0; i < len(img.Pix); i += 4 {
		if (color.RGBA{img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3]}) == c {
			return true
		}
	}
	return false
}

// A name never takes the room of the words around it.
func TestNamesLeaveRoomForWords(t *testing.T) {
	lib := testLibrary(t, "en")
	body, bold := lib.style(false, 13), lib.style(true, 13)
	for _, name := range hostile {
		for _, longest := range []int{120, 300} {
			lines := balanceLines(spans(notice(name).Ended, tone{body, bold, mild, white, longest}, 0), 200, 3)
			assert.True(t, strings.HasSuffix(strings.Join(text(lines), " "), "is no longer viewing your screen"), "%q: %q", name, text(lines))
		}
	}
}

// Text can be read: WCAG 2.1 asks for a contrast of 4.5 (1.4.3), and of 3 for what shows
// where a control is and which has the focus (1.4.11). Dead controls are exempt.
func TestContrast(t *testing.T) {
	for name, c := range map[string]struct {
		a, b  color.Color
		least float64
	}{
		"headline": {black.C, paper, 4.5}, "explanation": {grey.C, paper, 4.5}, "countdown": {grey.C, shade, 4.5},
		"claim": {brown.C, paper, 4.5}, "claim on the banner": {amber.C, night, 4.5}, "rule": {black.C, paper, 4.5}, "Pause": {white.C, slate, 4.5},
		"Pause, hovered": {white.C, slateHot, 4.5}, "Pause, pressed": {white.C, slateLow, 4.5}, "take-over": {brown.C, warnPaper, 4.5}, "button": {black.C, paper, 4.5}, "button, hovered": {black.C, hovered, 4.5}, "button, pressed": {black.C, pressed, 4.5},
		"focused": {white.C, accent, 4.5}, "focused, hovered": {white.C, accentHot, 4.5}, "focused, pressed": {white.C, accentLow, 4.5},
		"banner": {mild.C, night, 4.5}, "banner's name": {white.C, night, 4.5}, "reason": {dim.C, night, 4.5},
		"Stop": {white.C, alarm, 4.5}, "Stop, hovered": {white.C, alarmHot, 4.5}, "Stop, pressed": {white.C, alarmLow, 4.5},
		"edge of a button": {outline, shade, 3}, "focus": {accent, shade, 3}, "ring": {ring, shade, 3},
		"bar": {accent, track, 3}, "late bar": {late, track, 3}, "Stop on the banner": {alarm, night, 3}, "icon": {accent, paper, 3}, "end's icon": {calm, night, 3},
	} {
		assert.GreaterOrEqual(t, contrast(c.a, c.b), c.least, name)
	}
}

func contrast(a, b color.Color) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is relative luminance as WCAG 2.1 defines it.
func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	part := func(v uint32) float64 {
		s := float64(v) / 0xffff
		if s <= 0.03928 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*part(r) + 0.7152*part(g) + 0.0722*part(b)
}
