package dialog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/BurntSushi/xgb/xproto"
)

// Limits of the picture's scale. Below 1 it is only to fit a small screen.
const (
	minScale  = 0.5
	maxScale  = 3
	scaleStep = 0.25
)

// scale is how much larger than at 96 dots an inch the session's programs draw. Desktops say so
// in different places, of which the largest counts: Xft.dpi in the display's resources (KDE and
// many others), XSETTINGS (GNOME, Xfce, MATE, Cinnamon), the environment of the session's first
// process (Qt's and GDK's variables), and KDE's own file.
func (w *window) scale() float64 {
	s := 1.0
	r, err := xproto.GetProperty(w.x.Conn, false, w.screen.Root, xproto.AtomResourceManager, xproto.AtomString, 0, 1<<16).Reply()
	if err == nil {
		s = scaleOf(string(r.Value))
	}
	s = max(s, settingsScale(w.settings()))
	env := sessionEnviron(w.x.Display)
	s = max(s, environScale(env), kdeScale(env))
	return min(maxScale, s)
}

// scaleOf finds the scale in the text of RESOURCE_MANAGER.
func scaleOf(resources string) float64 {
	for l := range strings.Lines(resources) {
		name, value, ok := strings.Cut(l, ":")
		if !ok || strings.TrimSpace(name) != "Xft.dpi" {
			continue
		}
		if dpi, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && dpi > 0 {
			return min(maxScale, max(1, dpi/96))
		}
	}
	return 1
}

// settings is the property with the XSETTINGS of the screen; nil if nobody manages any.
func (w *window) settings() []byte {
	atom := func(name string) xproto.Atom {
		r, err := xproto.InternAtom(w.x.Conn, false, uint16(len(name)), name).Reply()
		if err != nil {
			return 0
		}
		return r.Atom
	}
	manager, err := xproto.GetSelectionOwner(w.x.Conn, atom(fmt.Sprintf("_XSETTINGS_S%d", w.x.DefaultScreen))).Reply()
	if err != nil || manager.Owner == 0 {
		return nil
	}
	property := atom("_XSETTINGS_SETTINGS")
	r, err := xproto.GetProperty(w.x.Conn, false, manager.Owner, property, property, 0, 1<<16).Reply()
	if err != nil || r.Format != 8 {
		return nil
	}
	return r.Value
}

// settingsScale is the scale in a property of XSETTINGS (its specification, 0.5): GDK's factor
// for whole windows, or the fonts' resolution, in which GNOME includes that factor and others don't.
func settingsScale(property []byte) float64 {
	integers := settingsOf(property)
	factor, dpi := float64(integers["Gdk/WindowScalingFactor"]), float64(integers["Xft/DPI"])/1024
	return min(maxScale, max(1, factor, dpi/96))
}

// The types of XSETTINGS.
const (
	integerSetting = 0
	stringSetting  = 1
	colourSetting  = 2
)

// settingsOf are the integers in a property of XSETTINGS, as far as it can be read.
func settingsOf(property []byte) map[string]int32 {
	found := map[string]int32{}
	var order binary.ByteOrder = binary.LittleEndian
	if len(property) > 0 && property[0] == xproto.ImageOrderMSBFirst {
		order = binary.BigEndian
	}
	b := property
	take := func(n int) []byte {
		if n < 0 || n > len(b) {
			b = nil
			return nil
		}
		head := b[:n]
		b = b[n:]
		return head
	}
	padded := func(n uint32) int { return int((int64(n) + 3) &^ 3) }
	take(12) // order, serial, number
	for len(b) > 0 {
		head := take(4)
		if head == nil {
			break
		}
		length := order.Uint16(head[2:])
		name := take(padded(uint32(length)))
		if name == nil || take(4) == nil { // the serial of its last change
			break
		}
		name = name[:length]
		switch head[0] {
		case integerSetting:
			if v := take(4); v != nil {
				found[string(name)] = int32(order.Uint32(v))
			}
		case stringSetting:
			if n := take(4); n != nil {
				take(padded(order.Uint32(n)))
			}
		case colourSetting:
			take(8)
		default:
			return found
		}
	}
	return found
}

const (
	maxProcesses = 1 << 14  // that are looked at
	maxEnviron   = 64 << 10 // bytes of an environment, and of KDE's file
)

// sessionEnviron is the environment of the first process of this process's user that uses a display,
// which is one of those that the others come from; nil if there is none.
func sessionEnviron(display string) map[string]string {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxProcesses)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		path := filepath.Join("/proc", strconv.Itoa(pid))
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Getuid() {
			continue
		}
		env := environOf(readSome(filepath.Join(path, "environ")))
		if withoutScreen(env["DISPLAY"]) == withoutScreen(display) && env["DISPLAY"] != "" {
			return env
		}
	}
	return nil
}

// readSome is the beginning of a file, empty if it can't be read.
func readSome(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, maxEnviron))
	return string(b)
}

func environOf(data string) map[string]string {
	env := map[string]string{}
	for v := range strings.SplitSeq(data, "\x00") {
		if name, value, ok := strings.Cut(v, "="); ok {
			env[name] = value
		}
	}
	return env
}

func withoutScreen(display string) string {
	display, _, _ = strings.Cut(strings.TrimPrefix(display, "unix"), ".")
	return display
}

// environScale is the scale that an environment tells Qt's and GDK's programs.
func environScale(env map[string]string) float64 {
	s := max(1, number(env["QT_SCALE_FACTOR"]), number(env["GDK_SCALE"]))
	// "1.5;2", or "eDP-1=1.5;HDMI-1=2", of each screen.
	for one := range strings.SplitSeq(env["QT_SCREEN_SCALE_FACTORS"], ";") {
		if _, value, ok := strings.Cut(one, "="); ok {
			one = value
		}
		s = max(s, number(one))
	}
	return min(maxScale, s)
}

// kdeScale is the scale in the file of an environment's KDE settings.
func kdeScale(env map[string]string) float64 {
	config := env["XDG_CONFIG_HOME"]
	if config == "" && env["HOME"] != "" {
		config = filepath.Join(env["HOME"], ".config")
	}
	if !filepath.IsAbs(config) || !strings.Contains(env["XDG_CURRENT_DESKTOP"], "KDE") {
		return 1
	}
	group := ""
	for line := range bytes.Lines([]byte(readSome(filepath.Join(config, "kdeglobals")))) {
		text := strings.TrimSpace(string(line))
		name, value, _ := strings.Cut(text, "=")
		switch {
		case strings.HasPrefix(text, "["):
			group = text
		case group == "[KScreen]" && strings.TrimSpace(name) == "ScaleFactor":
			return min(maxScale, max(1, number(strings.TrimSpace(value))))
		}
	}
	return 1
}

// number is a number that makes sense as a scale, else 0.
func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 0 && f <= 10) {
		return 0
	}
	return f
}
