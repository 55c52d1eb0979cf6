package dialog

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// xsettings is a property with a string, a colour and some integers in it.
func xsettings(order binary.AppendByteOrder, integers map[string]int32) []byte {
	mark := byte(0)
	if order == binary.BigEndian {
		mark = 1
	}
	b := order.AppendUint32([]byte{mark, 0, 0, 0}, 7)
	b = order.AppendUint32(b, uint32(len(integers)+2))
	begin := func(kind byte, name string) {
		b = order.AppendUint16(append(b, kind, 0), uint16(len(name)))
		b = append(b, name...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		b = order.AppendUint32(b, 1)
	}
	begin(stringSetting, "Net/ThemeName")
	b = append(order.AppendUint32(b, 7), "Adwaita\x00"...)
	begin(colourSetting, "Net/Colour")
	b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
	for name, v := range integers {
		begin(integerSetting, name)
		b = order.AppendUint32(b, uint32(v))
	}
	return b
}

func TestSettingsScale(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, c := range []struct {
			integers map[string]int32
			want     float64
		}{
			{nil, 1},
			{map[string]int32{"Gdk/WindowScalingFactor": 1, "Xft/DPI": 96 * 1024}, 1},
			{map[string]int32{"Gdk/WindowScalingFactor": 2, "Xft/DPI": 96 * 1024}, 2},                                // Xfce
			{map[string]int32{"Gdk/WindowScalingFactor": 2, "Xft/DPI": 192 * 1024, "Gdk/UnscaledDPI": 96 * 1024}, 2}, // GNOME
			{map[string]int32{"Xft/DPI": 144 * 1024, "Xft/Hinting": 1}, 1.5},
			{map[string]int32{"Gdk/WindowScalingFactor": 99}, maxScale},
			{map[string]int32{"Gdk/WindowScalingFactor": -1, "Xft/DPI": -1}, 1},
		} {
			assert.InDelta(t, c.want, settingsScale(xsettings(order, c.integers)), 1e-9, "%v", c.integers)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add(xsettings(binary.LittleEndian, map[string]int32{"Gdk/WindowScalingFactor": 2}))
	f.Add(xsettings(binary.BigEndian, map[string]int32{"Xft/DPI": 96 * 1024}))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := settingsScale(b)
		assert.True(t, s >= 1 && s <= maxScale)
	})
}

func TestEnvironScale(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want float64
	}{
		{nil, 1},
		{map[string]string{"QT_SCALE_FACTOR": "1.5"}, 1.5},
		{map[string]string{"GDK_SCALE": "2"}, 2},
		{map[string]string{"QT_SCREEN_SCALE_FACTORS": "eDP-1=1.25;HDMI-1=1.75;"}, 1.75},
		{map[string]string{"QT_SCREEN_SCALE_FACTORS": "1.25;1.5"}, 1.5},
		{map[string]string{"QT_SCALE_FACTOR": "NaN", "GDK_SCALE": "-2", "QT_SCREEN_SCALE_FACTORS": "=;;x=y"}, 1},
		{map[string]string{"GDK_SCALE": "9"}, maxScale},
	} {
		assert.InDelta(t, c.want, environScale(c.env), 1e-9, "%v", c.env)
	}
}

func TestKDEScale(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, ".config"), 0o700))
	file := filepath.Join(home, ".config", "kdeglobals")
	require.NoError(t, os.WriteFile(file, []byte("[General]\nScaleFactor=3\n\n[KScreen]\nScaleFactor=1.75\nScreenScaleFactors=\n"), 0o600))
	env := map[string]string{"HOME": home, "XDG_CURRENT_DESKTOP": "KDE"}
	assert.InDelta(t, 1.75, kdeScale(env), 1e-9)
	env["XDG_CURRENT_DESKTOP"] = "GNOME"
	assert.InDelta(t, 1, kdeScale(env), 1e-9, "the file is another desktop's")
	assert.InDelta(t, 1, kdeScale(map[string]string{"XDG_CURRENT_DESKTOP": "KDE", "HOME": "relative"}), 1e-9)
	assert.InDelta(t, 1, kdeScale(map[string]string{"XDG_CURRENT_DESKTOP": "KDE", "HOME": filepath.Join(home, "none")}), 1e-9)
}

// The environment is that of the display's own processes.
func TestSessionEnviron(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	cmd.Env = []string{"DISPLAY=:64123.0", "GDK_SCALE=2"}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	assert.Equal(t, "2", sessionEnviron(":64123")["GDK_SCALE"])
	assert.Nil(t, sessionEnviron(":64124"))
}
