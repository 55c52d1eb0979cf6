package encode

import "vda.internal/shadow/rfb"

// A viewer with a colour map of its own choosing is given a cube: six levels of
// each colour, so that black, white and the colours of the web are exact. Pixel
// 36·red + 6·green + blue stands for these levels.
const cubeSide = 6

// cube fills the tables with indices into the map.
func (l *layout) cube() {
	for v := range 256 {
		level := uint32(v*(cubeSide-1)+127) / 255
		l.red[v] = level * cubeSide * cubeSide
		l.green[v] = level * cubeSide
		l.blue[v] = level
	}
}

// appendColorMap appends a SetColorMapEntries with the whole map.
func appendColorMap(b []byte) []byte {
	const n = cubeSide * cubeSide * cubeSide
	b = append(b, byte(rfb.ServerSetColorMapEntries), 0)
	b = appendU16(b, 0)
	b = appendU16(b, n)
	for i := range n {
		for _, level := range [...]int{i / (cubeSide * cubeSide), i / cubeSide % cubeSide, i % cubeSide} {
			b = appendU16(b, level*0xffff/(cubeSide-1))
		}
	}
	return b
}
