package screen

import (
	"encoding/binary"
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Pixels of every size, mask and byte order become blue, green, red.
func TestConvert(t *testing.T) {
	for name, c := range map[string]struct {
		bits  int
		big   bool
		masks [3]uint32
		pixel uint32
		want  [3]byte // red, green, blue
	}{
		"24 in 32":             {32, false, [3]uint32{0xff0000, 0xff00, 0xff}, 0xff123456, [3]byte{0x12, 0x34, 0x56}},
		"24 in 32, big":        {32, true, [3]uint32{0xff0000, 0xff00, 0xff}, 0x00123456, [3]byte{0x12, 0x34, 0x56}},
		"24 in 32, blue first": {32, false, [3]uint32{0xff, 0xff00, 0xff0000}, 0x00123456, [3]byte{0x56, 0x34, 0x12}},
		"packed 24":            {24, false, [3]uint32{0xff0000, 0xff00, 0xff}, 0x123456, [3]byte{0x12, 0x34, 0x56}},
		"packed 24, big":       {24, true, [3]uint32{0xff0000, 0xff00, 0xff}, 0x123456, [3]byte{0x12, 0x34, 0x56}},
		"30":                   {32, false, [3]uint32{0x3ff00000, 0xffc00, 0x3ff}, 0x3ff<<20 | 0x200<<10 | 1, [3]byte{255, 128, 0}},
		"16":                   {16, false, [3]uint32{0xf800, 0x7e0, 0x1f}, 0xf800 | 0x3f<<5, [3]byte{255, 255, 0}},
		"16, big":              {16, true, [3]uint32{0xf800, 0x7e0, 0x1f}, 0x8000, [3]byte{132, 0, 0}},
		"15":                   {16, false, [3]uint32{0x7c00, 0x3e0, 0x1f}, 0x1f, [3]byte{0, 0, 255}},
		"8, true colour":       {8, false, [3]uint32{0xe0, 0x1c, 0x03}, 0xe0 | 0x02, [3]byte{255, 0, 170}},
	} {
		t.Run(name, func(t *testing.T) {
			l := layout{bits: c.bits, pad: 32, big: c.big}
			require.NoError(t, l.trueColor(c.masks))
			const width = 3
			row := make([]byte, l.stride(width))
			assert.Zero(t, len(row)%4, "rows are padded")
			for i := range width {
				putPixel(row, i, c.bits, c.big, c.pixel)
			}
			got := make([]byte, 4*width)
			l.convert(got, row, width)
			for i := range width {
				assert.Equal(t, []byte{c.want[2], c.want[1], c.want[0]}, got[4*i:4*i+3])
			}
		})
	}
	assert.True(t, native(t, false))
	assert.False(t, native(t, true), "big-endian pixels need to be turned round")
}

func native(t *testing.T, big bool) bool {
	l := layout{bits: 32, pad: 32, big: big}
	require.NoError(t, l.trueColor([3]uint32{0xff0000, 0xff00, 0xff}))
	return l.native
}

func putPixel(row []byte, i, bits int, big bool, v uint32) {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	switch bits {
	case 8:
		row[i] = byte(v)
	case 16:
		order.PutUint16(row[2*i:], uint16(v))
	case 24:
		b := []byte{byte(v), byte(v >> 8), byte(v >> 16)}
		if big {
			b[0], b[2] = b[2], b[0]
		}
		copy(row[3*i:], b)
	case 32:
		order.PutUint32(row[4*i:], v)
	}
}

// Masks that make no sense are refused.
func TestOddMasks(t *testing.T) {
	for _, masks := range [][3]uint32{{}, {0xff, 0xff, 0xff00}, {0xff0000, 0xff00, 0x5}, {0xff000000, 0xff00, 0xff}} {
		l := layout{bits: 24, pad: 32}
		var unfit *UnfitError
		assert.ErrorAs(t, l.trueColor(masks), &unfit, "%#x", masks)
	}
	l := layout{bits: 12, pad: 32}
	assert.Error(t, l.trueColor([3]uint32{0xf00, 0xf0, 0xf}))
}

// Whatever the server answers, what is read are whole monitors.
func FuzzParseMonitors(f *testing.F) {
	one := make([]byte, 32+24+4)
	one[12] = 1
	binary.LittleEndian.PutUint16(one[32+6:], 1)
	binary.LittleEndian.PutUint16(one[32+12:], 640)
	binary.LittleEndian.PutUint16(one[32+14:], 480)
	f.Add(one)
	f.Add(one[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		all := parseMonitors(b)
		assert.LessOrEqual(t, len(all), len(b)/24)
		assert.LessOrEqual(t, len(all), maxMonitors)
	})
	all := parseMonitors(one)
	require.Len(f, all, 1)
	assert.Equal(f, image.Rect(0, 0, 640, 480), all[0].rect)
}

// Monitors that show the same, or nothing, are one or none.
func TestSorted(t *testing.T) {
	r := image.Rect
	got := sorted([]Monitor{
		{Name: "right", Rect: r(100, 0, 200, 100)}, {Name: "mirror", Rect: r(0, 0, 100, 100)},
		{Name: "left", Rect: r(0, 0, 100, 100), Primary: true}, {Name: "off", Rect: r(500, 0, 600, 100)}, {Name: "none"},
		{Name: "wide", Rect: r(150, 50, 400, 100)},
	}, image.Pt(200, 100))
	assert.Equal(t, []Monitor{
		{Name: "left", Rect: r(0, 0, 100, 100), Primary: true}, {Name: "right", Rect: r(100, 0, 200, 100)},
		{Name: "wide", Rect: r(150, 50, 200, 100)},
	}, got)
}
