package capture

import (
	"fmt"
	"image"
	"strconv"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source/internal/screen"
)

// A choice is which part of the screen is shown. The zero choice is the whole.
type choice struct {
	name string // of a monitor
	lost bool   // it isn't there
}

// choose finds the monitor that is called name, or has that number; the first is 1. A name that
// isn't there is an error only if strict: a monitor that was chosen may have gone since.
func choose(s *screen.Screen, name string, strict bool) (choice, error) {
	if name = screen.CleanName(name); name == "" {
		return choice{}, nil
	}
	all, err := s.Monitors()
	if err != nil {
		return choice{}, err
	}
	for _, m := range all {
		if m.Name == name {
			return choice{name: name}, nil
		}
	}
	switch n, err := strconv.Atoi(name); {
	case err == nil && n >= 1 && n <= len(all):
		return choice{name: all[n-1].Name}, nil
	case err != nil && !strict:
		return choice{name: name}, nil
	}
	return choice{}, fmt.Errorf("there is no monitor %q; there are %s", name, names(all))
}

// names lists monitors for people.
func names(all []screen.Monitor) string {
	if len(all) == 0 {
		return "none, as far as the X server says"
	}
	list := ""
	for i, m := range all {
		if i > 0 {
			list += ", "
		}
		list += fmt.Sprintf("%d (%s, %dx%d)", i+1, m.Name, m.Rect.Dx(), m.Rect.Dy())
	}
	return list
}

// of is what viewers call the desktop.
func (c *choice) of(desktop string) string {
	switch {
	case c.name == "":
		return desktop
	case c.lost:
		return fmt.Sprintf("%s, all of it: monitor %s is gone", desktop, c.name)
	}
	return c.name + " of " + desktop
}

// maxCoordinate is as far as X11's coordinates go.
const maxCoordinate = 1<<15 - 1

// fits says why a part of the screen is too large to be shown, or returns nil. What the relay wouldn't pass on is found
// here, before anybody is asked; it is a gigabyte at most.
func fits(r image.Rectangle) error {
	if max(r.Max.X, r.Max.Y) <= maxCoordinate && max(r.Dx(), r.Dy()) <= rfb.MaxSide {
		return nil
	}
	return &screen.UnfitError{Large: true, Reason: fmt.Sprintf(
		"the picture has %dx%d pixels; %d a side can be shown, of a screen of %d", r.Dx(), r.Dy(), rfb.MaxSide, maxCoordinate)}
}

// view is the part of the screen that is shown now: the whole if the monitor has
// gone. Changed is called when that begins and ends. A part that is too large is a
// [*screen.UnfitError].
func (c *choice) view(s *screen.Screen, changed func(string)) (image.Rectangle, error) {
	r, err := c.find(s, changed)
	if err == nil {
		err = fits(r)
	}
	return r, err
}

// find is view, however large.
func (c *choice) find(s *screen.Screen, changed func(string)) (image.Rectangle, error) {
	whole := image.Rectangle{Max: s.Size()}
	if c.name == "" {
		return whole, nil
	}
	all, err := s.Monitors()
	if err != nil {
		return image.Rectangle{}, err
	}
	for _, m := range all {
		if m.Name == c.name {
			if c.lost {
				changed(fmt.Sprintf("monitor %s alone, which is there again", c.name))
			}
			c.lost = false
			return m.Rect, nil
		}
	}
	if !c.lost {
		changed(fmt.Sprintf("the whole screen, since monitor %s is gone", c.name))
	}
	c.lost = true
	return whole, nil
}
