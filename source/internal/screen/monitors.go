package screen

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"image"
	"slices"
	"strings"
	"unicode"

	"github.com/BurntSushi/xgb/randr"
	"github.com/BurntSushi/xgb/xproto"
)

// A Monitor is a part of the screen that is shown on a display of its own.
type Monitor struct {
	Name    string // "DP-1"; text from the server, cut to 128 bytes
	Rect    image.Rectangle
	Primary bool
}

const (
	maxMonitors = 64  // are looked at
	maxName     = 128 // bytes
)

// CleanName is a monitor's name, which any client can have set, as a [Monitor] has it.
func CleanName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name[:min(len(name), maxName)], "?"))
}

// initRandR finds out which RANDR there is.
func (s *Screen) initRandR() {
	s.randr = -1
	if err := randr.Init(s.conn.Conn); err != nil {
		s.lack("RANDR", "single monitors can't be shown")
		return
	}
	version, err := randr.QueryVersion(s.conn.Conn, 1, 5).Reply()
	if err != nil || version.MajorVersion != 1 {
		s.lack("RANDR 1", "single monitors can't be shown")
		return
	}
	s.randr = int(version.MinorVersion)
	switch {
	case s.randr < 2:
		s.lack("RANDR 1.2", "single monitors can't be shown")
	case s.randr < 5:
		s.lack("RANDR 1.5", "each output is a monitor, also where several make one or one makes several")
	}
}

// Monitors are the screen's monitors as they are now, the primary one first and
// the others from left to right, none without RANDR.
func (s *Screen) Monitors() ([]Monitor, error) {
	var all []Monitor
	var err error
	switch {
	case s.randr >= 5:
		all, err = s.randrMonitors()
	case s.randr >= 2:
		all, err = s.crtcs()
	}
	if err != nil {
		return nil, fmt.Errorf("the monitors: %w", err)
	}
	return sorted(all, s.size), nil
}

// randrMonitors asks with RRGetMonitors (RANDR 1.5), which xgb doesn't know.
func (s *Screen) randrMonitors() ([]Monitor, error) {
	const minor, words = 42, 3
	s.conn.ExtLock.RLock()
	opcode := s.conn.Extensions["RANDR"]
	s.conn.ExtLock.RUnlock()
	b := make([]byte, 4*words)
	b[0], b[1] = opcode, minor
	binary.LittleEndian.PutUint16(b[2:], words)
	binary.LittleEndian.PutUint32(b[4:], uint32(s.root))
	b[8] = 1 // only those that show something
	cookie := s.conn.NewCookie(true, true)
	s.conn.NewRequest(b, cookie)
	reply, err := cookie.Reply()
	if err != nil {
		return nil, err
	}
	infos := parseMonitors(reply)
	all := make([]Monitor, 0, len(infos))
	for _, m := range infos {
		name := ""
		if reply, err := xproto.GetAtomName(s.conn.Conn, m.name).Reply(); err == nil {
			name = reply.Name
		}
		all = append(all, Monitor{Name: CleanName(name), Rect: m.rect, Primary: m.primary})
	}
	return all, nil
}

// monitorInfo is a MONITORINFO.
type monitorInfo struct {
	name    xproto.Atom
	primary bool
	rect    image.Rectangle
}

// parseMonitors reads the answer to RRGetMonitors; what is cut off isn't there.
func parseMonitors(b []byte) []monitorInfo {
	const head, fixed = 32, 24
	if len(b) < head {
		return nil
	}
	n := binary.LittleEndian.Uint32(b[12:])
	b = b[head:]
	var all []monitorInfo
	for range min(n, maxMonitors) {
		if len(b) < fixed {
			break
		}
		u16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
		all = append(all, monitorInfo{
			name: xproto.Atom(binary.LittleEndian.Uint32(b)), primary: b[4] != 0,
			rect: rectangle(int(int16(u16(8))), int(int16(u16(10))), u16(12), u16(14)),
		})
		size := fixed + 4*u16(6)
		if len(b) < size {
			break
		}
		b = b[size:]
	}
	return all
}

// crtcs are the monitors of a server without RRGetMonitors.
func (s *Screen) crtcs() ([]Monitor, error) {
	x := s.conn.Conn
	var outputs []randr.Output
	var stamp xproto.Timestamp
	if s.randr >= 3 {
		r, err := randr.GetScreenResourcesCurrent(x, s.root).Reply()
		if err != nil {
			return nil, err
		}
		outputs, stamp = r.Outputs, r.ConfigTimestamp
	} else {
		r, err := randr.GetScreenResources(x, s.root).Reply()
		if err != nil {
			return nil, err
		}
		outputs, stamp = r.Outputs, r.ConfigTimestamp
	}
	var primary randr.Output // 0: none, or not known before 1.3
	if s.randr >= 3 {
		if r, err := randr.GetOutputPrimary(x, s.root).Reply(); err == nil {
			primary = r.Output
		}
	}
	var all []Monitor
	for _, output := range outputs[:min(len(outputs), maxMonitors)] {
		info, err := randr.GetOutputInfo(x, output, stamp).Reply()
		if err != nil || info.Crtc == 0 {
			continue
		}
		c, err := randr.GetCrtcInfo(x, info.Crtc, stamp).Reply()
		if err != nil || c.Width == 0 || c.Height == 0 {
			continue
		}
		all = append(all, Monitor{
			Name: CleanName(string(info.Name)),
			Rect: rectangle(int(c.X), int(c.Y), int(c.Width), int(c.Height)), Primary: output == primary,
		})
	}
	return all, nil
}

// refuseXwaylandOutputs refuses a server that shows its pictures in a Wayland
// compositor: one without the extension XWAYLAND is known by its outputs.
func (s *Screen) refuseXwaylandOutputs() error {
	all, err := s.Monitors()
	if err != nil {
		return nil // then nothing can be told by them
	}
	for _, m := range all {
		if strings.HasPrefix(m.Name, "XWAYLAND") {
			return errXwayland
		}
	}
	return nil
}

// sorted puts monitors in order and leaves out those with no pixel of a screen
// of that size, and all but one of those that show the same.
func sorted(all []Monitor, size image.Point) []Monitor {
	var kept []Monitor
	for _, m := range all {
		m.Rect = m.Rect.Intersect(image.Rectangle{Max: size})
		same := func(k Monitor) bool { return k.Rect == m.Rect }
		switch i := slices.IndexFunc(kept, same); {
		case m.Rect.Empty():
		case i < 0:
			kept = append(kept, m)
		case m.Primary && !kept[i].Primary:
			kept[i] = m
		}
	}
	slices.SortStableFunc(kept, func(a, b Monitor) int {
		switch {
		case a.Primary != b.Primary && a.Primary:
			return -1
		case a.Primary != b.Primary:
			return 1
		}
		return cmp.Or(cmp.Compare(a.Rect.Min.X, b.Rect.Min.X), cmp.Compare(a.Rect.Min.Y, b.Rect.Min.Y))
	})
	return kept
}
