package screen

import (
	"fmt"
	"slices"

	"github.com/BurntSushi/xgb/xproto"
)

// A colormap is what pixels of eight bits mean: the screen's default map, whichever is installed. A
// program with a map of its own is shown in that one's colours.
type colormap struct {
	id   xproto.Colormap
	size int // entries, 256 at most
}

// ColorsMayChange reports whether the meaning of pixels can change without the
// pixels: there is a colour map, and nobody tells of its changes.
func (s *Screen) ColorsMayChange() bool { return s.colors != nil }

// RefreshColors reads the colour map and reports whether it differs from what
// it was; then the whole screen does.
func (s *Screen) RefreshColors() (changed bool, err error) {
	if s.colors == nil {
		return false, nil
	}
	pixels := make([]uint32, s.colors.size)
	for i := range pixels {
		pixels[i] = uint32(i)
	}
	reply, err := xproto.QueryColors(s.conn.Conn, s.colors.id, pixels).Reply()
	if err != nil {
		return false, fmt.Errorf("the colour map: %w", err)
	}
	table := make([]uint32, len(s.layout.table))
	for i, c := range reply.Colors[:min(len(reply.Colors), len(pixels))] {
		table[i] = uint32(c.Red>>8)<<16 | uint32(c.Green>>8)<<8 | uint32(c.Blue>>8)
	}
	changed = !slices.Equal(table, s.layout.table)
	s.layout.table = table
	return changed, nil
}
