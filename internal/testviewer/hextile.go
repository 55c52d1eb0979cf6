package testviewer

import (
	"fmt"
)

func (d *Decoder) hextile(p part) {
	var background, foreground uint32
	hasBackground, hasForeground := false, false
	p.tiles(16, func(t part) {
		mask := d.u8()
		d.require(mask < 32, "Hextile mask %#x", mask)
		if mask&1 != 0 {
			d.require(mask == 1, "Hextile mask %#x", mask)
			d.Kinds["hextile raw"]++
			t.each(func(int, int) uint32 { return d.pixel() })
			hasBackground, hasForeground = false, false
			return
		}
		if mask&2 != 0 {
			background, hasBackground = d.pixel(), true
		}
		d.require(hasBackground, "Hextile tile without a background")
		if mask&4 != 0 {
			d.require(mask&16 == 0, "Hextile tile with a foreground and colours")
			foreground, hasForeground = d.pixel(), true
		}
		t.each(func(int, int) uint32 { return background })
		if mask&8 == 0 {
			d.Kinds["hextile solid"]++
			return
		}
		d.Kinds[fmt.Sprintf("hextile subrects, coloured %v", mask&16 != 0)]++
		for range d.u8() {
			v := foreground
			if mask&16 != 0 {
				v = d.pixel()
				hasForeground = false
			} else {
				d.require(hasForeground, "Hextile tile without a foreground")
			}
			at, size := d.u8(), d.u8()
			s := part{d, t.x + at>>4, t.y + at&15, size>>4 + 1, size&15 + 1}
			d.require(s.x+s.w <= t.x+t.w && s.y+s.h <= t.y+t.h, "Hextile subrectangle outside its tile")
			s.each(func(int, int) uint32 { return v })
		}
	})
}
