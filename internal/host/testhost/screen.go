package testhost

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/bits"
)

// SetRoot paints the background of the desktop in a colour, "#204060" or an X
// colour name.
func (d *Desktop) SetRoot(ctx context.Context, colour string) error {
	_, err := d.Run(ctx, "xsetroot", "-solid", colour)
	return err
}

// Screenshot is the screen as it is now, without the pointer. The screen is a true-colour one
// with 16, 24 or 32 bits a pixel.
func (d *Desktop) Screenshot(ctx context.Context) (*image.RGBA, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for range 20 { // a screen that shrinks just now is asked for once more
		var img *image.RGBA
		if img, err = c.image(c.root); err == nil || !errors.Is(err, badMatch) {
			return img, err
		}
	}
	return nil, err
}

const badMatch = xError(8)

// image is what a drawable shows.
func (c *xclient) image(drawable uint32) (*image.RGBA, error) {
	geometry, err := c.ask(getGeometry, 0, drawable)
	if err != nil {
		return nil, err
	}
	size := le.Uint32(geometry[16:])
	width, height := int(uint16(size)), int(size>>16)
	const zPixmap, allPlanes = 2, 1<<32 - 1
	b, err := c.ask(getImage, zPixmap, drawable, 0, size, allPlanes)
	if err != nil {
		return nil, err
	}
	bytes := int(c.pixels[b[1]]) / 8
	if bytes != 2 && bytes != 4 || c.red == 0 {
		return nil, fmt.Errorf("a picture of %d bytes a pixel can't be read", bytes)
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	stride := (width*bytes + 3) &^ 3
	if len(b) < 32+stride*height {
		return nil, errors.New("the X server's picture is cut short")
	}
	for y := range height {
		c.row(img.Pix[y*img.Stride:], b[32+y*stride:], width, bytes)
	}
	return img, nil
}

// row turns a row of pixels into red, green, blue and 255.
func (c *xclient) row(out, in []byte, width, bytes int) {
	if bytes == 4 && c.red == 0xff0000 && c.green == 0xff00 && c.blue == 0xff && c.order == binary.ByteOrder(le) {
		for x := range width {
			p, q := in[4*x:4*x+4], out[4*x:4*x+4]
			q[0], q[1], q[2], q[3] = p[2], p[1], p[0], 0xff
		}
		return
	}
	for x := range width {
		var v uint32
		if bytes == 2 {
			v = uint32(c.order.Uint16(in[2*x:]))
		} else {
			v = c.order.Uint32(in[4*x:])
		}
		out[4*x], out[4*x+1], out[4*x+2], out[4*x+3] = channel(v, c.red), channel(v, c.green), channel(v, c.blue), 0xff
	}
}

// channel takes the bits of mask from a pixel and widens them to 8.
func channel(pixel, mask uint32) uint8 {
	if mask == 0 {
		return 0
	}
	shift := bits.TrailingZeros32(mask)
	most := uint64(mask >> shift)
	return uint8((uint64(pixel&mask>>shift)*255 + most/2) / most)
}
