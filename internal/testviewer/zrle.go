package testviewer

import (
	"fmt"
)

func (d *Decoder) zrleRect(p part) {
	z := &d.zrle
	z.begin(d, d.bytes(d.u32()))
	p.tiles(64, func(t part) {
		kind := int(z.bytes(d, 1)[0])
		palette := make([]uint32, 0, 128)
		colors := kind & 127
		if kind == 128 || kind == 0 {
			colors = 0
		}
		for range colors {
			palette = append(palette, d.cpixel())
		}
		switch {
		case kind == 0:
			d.Kinds["zrle raw"]++
			t.each(func(int, int) uint32 { return d.cpixel() })
		case kind == 1:
			d.Kinds["zrle solid"]++
			t.each(func(int, int) uint32 { return palette[0] })
		case kind <= 16:
			d.Kinds["zrle packed"]++
			d.packed(t, palette)
		case kind < 128 || kind == 129:
			d.require(false, "ZRLE tile of kind %d", kind)
		default:
			d.Kinds[fmt.Sprintf("zrle runs, palette %v", kind > 128)]++
			d.runs(t, palette)
		}
	})
}

func (d *Decoder) packed(t part, palette []uint32) {
	bits := 4
	if len(palette) <= 4 {
		bits = 2
	}
	if len(palette) == 2 {
		bits = 1
	}
	stride := (t.w*bits + 7) / 8
	b := d.zrle.bytes(d, stride*t.h)
	t.each(func(x, y int) uint32 {
		i := int(b[y*stride+x*bits/8]) >> (8 - bits - x*bits%8) & (1<<bits - 1)
		d.require(i < len(palette), "ZRLE index %d of %d", i, len(palette))
		return palette[i]
	})
}

func (d *Decoder) runs(t part, palette []uint32) {
	left, v := 0, uint32(0)
	t.each(func(x, y int) uint32 {
		if left == 0 {
			long := true
			if len(palette) == 0 {
				v = d.cpixel()
			} else {
				i := int(d.zrle.bytes(d, 1)[0])
				long = i&128 != 0
				d.require(i&127 < len(palette), "ZRLE index %d of %d", i&127, len(palette))
				v = palette[i&127]
			}
			for left = 1; long; {
				n := int(d.zrle.bytes(d, 1)[0])
				left += n
				long = n == 255
			}
		}
		left--
		return v
	})
	d.require(left == 0, "ZRLE run beyond its tile")
}

// cpixel reads a pixel of ZRLE: three of four bytes if the fourth says nothing.
func (d *Decoder) cpixel() uint32 {
	f := d.Format
	low, high := d.Used() < 1<<24, d.Used()&0xff == 0
	if !f.TrueColor || f.BitsPerPixel != 32 || f.Depth > 24 || !low && !high {
		return d.Value(d.zrle.bytes(d, d.size()))
	}
	b := d.zrle.bytes(d, 3)
	if f.BigEndian && !high || !f.BigEndian && !low { // the first byte is left out
		return d.Value(append(d.four[:0], 0, b[0], b[1], b[2]))
	}
	return d.Value(append(d.four[:0], b[0], b[1], b[2], 0))
}
