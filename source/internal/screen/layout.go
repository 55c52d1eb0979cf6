package screen

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/BurntSushi/xgb/xproto"
)

// A layout is how the server stores pixels in images of the root's depth.
type layout struct {
	depth int
	bits  int  // of a pixel: 8, 16, 24 or 32
	pad   int  // bits that rows are a multiple of
	big   bool // the most significant byte comes first

	native bool      // pixels are as a Screen gives them
	table  []uint32  // of pixels of 8 and 16 bits: their colours
	masks  [3]uint32 // else: of red, green and blue
	levels [3][]byte // and what their values mean, if they haven't 8 bits
}

// stride is the length of a row of pixels in bytes.
func (l *layout) stride(width int) int {
	return (width*l.bits + l.pad - 1) / l.pad * l.pad / 8
}

// readVisual finds out what the root's pixels mean.
func (s *Screen) readVisual(setup *xproto.SetupInfo, info xproto.ScreenInfo) error {
	l := layout{depth: int(info.RootDepth), big: setup.ImageByteOrder == xproto.ImageOrderMSBFirst}
	for _, f := range setup.PixmapFormats {
		if f.Depth == info.RootDepth {
			l.bits, l.pad = int(f.BitsPerPixel), int(f.ScanlinePad)
		}
	}
	visual := findVisual(info)
	switch {
	case visual == nil:
		return &UnfitError{Reason: "the X server doesn't say how its root window's pixels look"}
	case l.pad < 8 || l.pad%8 != 0:
		return &UnfitError{Reason: fmt.Sprintf("the X server has rows that are a multiple of %d bits", l.pad)}
	case visual.Class == xproto.VisualClassPseudoColor && l.depth == 8 && l.bits == 8:
		s.colors = &colormap{id: info.DefaultColormap, size: min(int(visual.ColormapEntries), 256)}
		l.table = make([]uint32, 256)
	case visual.Class != xproto.VisualClassTrueColor:
		return &UnfitError{Reason: fmt.Sprintf("the screen has %s pixels of %d bits; only TrueColor, and PseudoColor of 8 bits, can be shown",
			className(visual.Class), l.depth)}
	default:
		if err := l.trueColor([3]uint32{visual.RedMask, visual.GreenMask, visual.BlueMask}); err != nil {
			return err
		}
	}
	s.layout = l
	if s.colors != nil {
		if _, err := s.RefreshColors(); err != nil {
			return &UnfitError{Reason: err.Error()}
		}
	}
	return nil
}

// findVisual is the visual of the root window.
func findVisual(info xproto.ScreenInfo) *xproto.VisualInfo {
	for _, depth := range info.AllowedDepths {
		for _, v := range depth.Visuals {
			if v.VisualId == info.RootVisual {
				return &v
			}
		}
	}
	return nil
}

func className(class byte) string {
	names := []string{"StaticGray", "GrayScale", "StaticColor", "PseudoColor", "TrueColor", "DirectColor"}
	if int(class) < len(names) {
		return names[class]
	}
	return fmt.Sprintf("class %d", class)
}

// trueColor makes l that of pixels whose colours are at masks.
func (l *layout) trueColor(masks [3]uint32) error {
	var used uint64
	for _, m := range masks {
		width := bits.OnesCount32(m)
		if width == 0 || width > 16 || m>>bits.TrailingZeros32(m)+1 != 1<<width || used&uint64(m) != 0 {
			return &UnfitError{Reason: fmt.Sprintf("the screen's pixels have their colours at %#x, %#x and %#x, which makes no sense", masks[0], masks[1], masks[2])}
		}
		used |= uint64(m)
	}
	switch l.bits {
	case 8, 16, 24, 32:
	default:
		return &UnfitError{Reason: fmt.Sprintf("the screen's pixels have %d bits; 8, 16, 24 and 32 can be shown", l.bits)}
	}
	if used>>l.bits != 0 {
		return &UnfitError{Reason: fmt.Sprintf("the screen's pixels have %d bits, and colours beyond them", l.bits)}
	}
	l.masks = masks
	for i, m := range masks {
		l.levels[i] = levels(bits.OnesCount32(m))
	}
	l.native = l.bits == 32 && !l.big && masks == [3]uint32{0xff0000, 0xff00, 0xff}
	if l.bits <= 16 {
		l.table = make([]uint32, 1<<l.bits)
		for v := range l.table {
			l.table[v] = l.color(uint32(v))
		}
	}
	return nil
}

// levels are the values of so many bits, as values of eight.
func levels(width int) []byte {
	n := 1 << width
	table := make([]byte, n)
	for v := range table {
		table[v] = byte((v*255 + (n-1)/2) / (n - 1))
	}
	return table
}

// color is a pixel as red at 16, green at 8, blue at 0.
func (l *layout) color(pixel uint32) (color uint32) {
	for i, m := range l.masks {
		color = color<<8 | uint32(l.levels[i][pixel&m>>bits.TrailingZeros32(m)])
	}
	return color
}

// convert writes a row of the server's pixels as pixels of four bytes: blue,
// green, red and zero.
func (l *layout) convert(dst, src []byte, width int) {
	var order binary.ByteOrder = binary.LittleEndian
	if l.big {
		order = binary.BigEndian
	}
	dst = dst[:4*width]
	switch l.bits {
	case 8:
		for i, v := range src[:width] {
			binary.LittleEndian.PutUint32(dst[4*i:], l.table[v])
		}
	case 16:
		for i := range width {
			binary.LittleEndian.PutUint32(dst[4*i:], l.table[order.Uint16(src[2*i:])])
		}
	case 24:
		for i := range width {
			p := src[3*i : 3*i+3]
			pixel := uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16
			if l.big {
				pixel = uint32(p[2]) | uint32(p[1])<<8 | uint32(p[0])<<16
			}
			binary.LittleEndian.PutUint32(dst[4*i:], l.color(pixel))
		}
	case 32:
		for i := range width {
			binary.LittleEndian.PutUint32(dst[4*i:], l.color(order.Uint32(src[4*i:])))
		}
	}
}
