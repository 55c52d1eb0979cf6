package capture

import (
	"fmt"
	"image"
	"strconv"

	"vda.internal/shadow/source/internal/screen"
)

// A choice is which part of the screen is shown. The zero choice is the whole.
type choice struct {
	name string // of a monitor
	lost bool   // it isn't there
}

// choose finds the monitor that is called name, or has that number; the first is 1.
func choose(s *screen.Screen, name string) (choice, error) {
	if name == "" {
		return choice{}, nil
	}
	all, err := s.Monitors()
	if err != nil {
		return choice{}, err
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(all) {
		return choice{name: all[n-1].Name}, nil
	}
	for _, m := range all {
		if m.Name == name {
			return choice{name: name}, nil
		}
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

// view is the part of the screen that is shown now: the whole if the monitor has
// gone, which is told once.
func (c *choice) view(s *screen.Screen, warn func(string)) (image.Rectangle, error) {
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
				warn(fmt.Sprintf("monitor %s is there again and shown alone", c.name))
			}
			c.lost = false
			return m.Rect, nil
		}
	}
	if !c.lost {
		warn(fmt.Sprintf("monitor %s is gone, and the whole screen is shown", c.name))
	}
	c.lost = true
	return whole, nil
}
