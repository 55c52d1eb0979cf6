package testviewer

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
)

func (d *Decoder) tight(p part) {
	d.require(p.w <= 2048, "Tight rectangle %d wide", p.w)
	control := d.u8()
	for i := range d.tiny {
		if control>>i&1 != 0 {
			d.tiny[i] = inflater{}
		}
	}
	switch control >> 4 {
	case 8:
		v := d.tpixel(d.bytes(d.tpixelSize()))
		d.Kinds["tight fill"]++
		p.each(func(int, int) uint32 { return v })
		return
	case 9:
		d.Kinds["tight jpeg"]++
		d.jpeg(p, d.bytes(d.compact()))
		return
	}
	d.require(control>>4 < 8, "Tight control %#x", control)
	d.require(p.w*p.h <= 1<<16, "Tight rectangle of %d x %d", p.w, p.h)
	z := &d.tiny[control>>4&3]
	filter := 0
	if control&0x40 != 0 {
		filter = d.u8()
	}
	size := d.tpixelSize()
	if filter == 0 {
		d.Kinds["tight copy"]++
		b := d.tightData(z, p.w*p.h*size)
		p.each(func(x, y int) uint32 { return d.tpixel(b[(y*p.w+x)*size:][:size]) })
		return
	}
	d.require(filter == 1, "Tight filter %d", filter)
	palette := make([]uint32, d.u8()+1)
	for i := range palette {
		palette[i] = d.tpixel(d.bytes(size))
	}
	if len(palette) == 2 {
		d.Kinds["tight mono"]++
		stride := (p.w + 7) / 8
		b := d.tightData(z, stride*p.h)
		p.each(func(x, y int) uint32 { return palette[b[y*stride+x/8]>>(7-x%8)&1] })
		return
	}
	d.Kinds["tight palette"]++
	d.require(len(palette) > 2, "Tight palette of one")
	b := d.tightData(z, p.w*p.h)
	p.each(func(x, y int) uint32 {
		i := b[y*p.w+x]
		if int(i) >= len(palette) {
			d.require(false, "index %d of %d", i, len(palette))
		}
		return palette[i]
	})
}

func (d *Decoder) tightData(z *inflater, n int) []byte {
	if n < 12 {
		return d.bytes(n)
	}
	z.begin(d, d.bytes(d.compact()))
	return z.bytes(d, n)
}

// compact is a length of one to three bytes.
func (d *Decoder) compact() int {
	n, shift := 0, 0
	for {
		b := d.u8()
		if shift == 14 {
			d.require(b > 0, "a length longer than it need be")
			return n | b<<14
		}
		n |= b & 0x7f << shift
		if b&0x80 == 0 {
			d.require(shift == 0 || b > 0, "a length longer than it need be")
			return n
		}
		shift += 7
	}
}

func (d *Decoder) tpixelSize() int {
	f := d.Format
	if f.TrueColor && f.BitsPerPixel == 32 && f.Depth == 24 && f.RedMax == 255 && f.GreenMax == 255 && f.BlueMax == 255 {
		return 3
	}
	return d.size()
}

func (d *Decoder) tpixel(b []byte) uint32 {
	if d.tpixelSize() == 3 && d.size() == 4 {
		return d.Quantized(b[0], b[1], b[2])
	}
	return d.Value(b)
}

func (d *Decoder) jpeg(p part, b []byte) {
	d.require(d.size() > 1, "JPEG for 8 bits")
	m, err := jpeg.Decode(bytes.NewReader(b))
	d.require(err == nil, "JPEG: %v", err)
	d.require(m.Bounds() == image.Rect(0, 0, p.w, p.h), "JPEG of %v", m.Bounds())
	p.each(func(x, y int) uint32 {
		c := m.(*image.YCbCr).YCbCrAt(x, y)
		return d.Quantized(color.YCbCrToRGB(c.Y, c.Cb, c.Cr))
	})
	for y := range p.h {
		for x := range p.w {
			d.Lossy[p.at(x, y)] = true
		}
	}
}
