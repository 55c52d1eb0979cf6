package screen

import (
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/BurntSushi/xgb/damage"
	"github.com/BurntSushi/xgb/xfixes"
	"github.com/BurntSushi/xgb/xproto"
)

// xfixesDamage is where the server notes what has changed. The zero value is a
// server that can't.
type xfixesDamage struct {
	watched damage.Damage
	region  xfixes.Region // 0: the server can't tell
	cursors bool          // the server tells of the pointer's picture
}

// initDamage has the server note changes of the root. What is there already
// counts as changed.
func (s *Screen) initDamage() {
	const without = "the whole picture is compared ten times a second"
	x := s.conn.Conn
	if err := xfixes.Init(x); err != nil {
		s.lack("XFIXES", without+", and the pointer isn't shown")
		return
	}
	version, err := xfixes.QueryVersion(x, 4, 0).Reply()
	if err != nil || version.MajorVersion < 2 {
		s.lack("XFIXES 2", without+", and the pointer isn't shown")
		return
	}
	s.damage.cursors = true
	if err := damage.Init(x); err != nil {
		s.lack("DAMAGE", without)
		return
	}
	if _, err := damage.QueryVersion(x, 1, 1).Reply(); err != nil {
		s.lack("DAMAGE 1", without)
		return
	}
	if err := s.watch(); err != nil {
		s.lack("DAMAGE for its root window", without)
	}
}

func (s *Screen) watch() error {
	x := s.conn.Conn
	region, err := xfixes.NewRegionId(x)
	if err != nil {
		return err
	}
	if err := xfixes.CreateRegionChecked(x, region, nil).Check(); err != nil {
		return err
	}
	id, err := damage.NewDamageId(x)
	if err != nil {
		return err
	}
	if err := damage.CreateChecked(x, id, xproto.Drawable(s.root), damage.ReportLevelNonEmpty).Check(); err != nil {
		return err
	}
	s.damage.watched, s.damage.region = id, region
	return nil
}

// TellsDamage reports whether the server tells of changed pixels. If it doesn't,
// [Screen.Damage] is always the whole screen.
func (s *Screen) TellsDamage() bool { return s.damage.region != 0 }

// DamagedSince is when the first of the changes was told of that [Screen.Damage]
// would return now. It reports false if there is none.
func (s *Screen) DamagedSince() (time.Time, bool) {
	ns := s.since.Load()
	return started.Add(time.Duration(ns)), ns != 0
}

// Damage is where pixels may have changed since the last call.
func (s *Screen) Damage() ([]image.Rectangle, error) {
	if !s.TellsDamage() {
		return []image.Rectangle{{Max: s.size}}, nil
	}
	if s.since.Swap(0) == 0 {
		return nil, nil
	}
	damage.Subtract(s.conn.Conn, s.damage.watched, xfixes.Region(xproto.AtomNone), s.damage.region)
	reply, err := xfixes.FetchRegion(s.conn.Conn, s.damage.region).Reply()
	var much xproto.AllocError // what it said was too long to be read
	switch {
	case errors.As(err, &much):
		return []image.Rectangle{{Max: s.size}}, nil
	case err != nil:
		return nil, fmt.Errorf("what has changed: %w", err)
	}
	rects := make([]image.Rectangle, 0, len(reply.Rectangles))
	for _, r := range reply.Rectangles {
		rects = append(rects, rectangle(int(r.X), int(r.Y), int(r.Width), int(r.Height)))
	}
	return rects, nil
}

// rectangle is the one at x, y of that size.
func rectangle(x, y, width, height int) image.Rectangle {
	return image.Rect(x, y, x+width, y+height)
}
