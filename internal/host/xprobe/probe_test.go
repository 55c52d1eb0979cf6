package xprobe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

func kind(t *testing.T, err error) Kind {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e.Kind
}

func TestProbe(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 800, Height: 600})
	target := Target{Display: d.Display, Xauthority: d.Xauthority, Identity: d.Identity}

	screen, err := Probe(t.Context(), target)
	require.NoError(t, err)
	assert.Equal(t, 800, screen.Width)
	assert.Equal(t, 600, screen.Height)
	assert.NotEmpty(t, screen.Vendor)

	t.Run("no cookie wanted, but one is needed", func(t *testing.T) {
		none := target
		none.Xauthority = ""
		_, err := Probe(t.Context(), none)
		assert.Equal(t, Refused, kind(t, err), "%v", err)
	})
	t.Run("cookie missing", func(t *testing.T) {
		missing := target
		missing.Xauthority = filepath.Join(d.Home, "none")
		_, err := Probe(t.Context(), missing)
		assert.Equal(t, NoCookie, kind(t, err))
		assert.ErrorContains(t, err, "no such file")
	})
	t.Run("cookie of another display", func(t *testing.T) {
		other := target
		other.Xauthority = filepath.Join(d.Home, "other")
		require.NoError(t, os.WriteFile(other.Xauthority, []byte("\xff\xff\x00\x00\x00\x0264\x00\x12MIT-MAGIC-COOKIE-1\x00\x02xy"), 0o644))
		_, err := Probe(t.Context(), other)
		assert.Equal(t, NoCookie, kind(t, err))
		assert.ErrorContains(t, err, "no cookie for display")
	})
	t.Run("no server", func(t *testing.T) {
		gone := target
		gone.Display = ":59999"
		gone.Xauthority = ""
		_, err := Probe(t.Context(), gone)
		assert.Equal(t, NoServer, kind(t, err))
		gone.Display = "elsewhere:1"
		_, err = Probe(t.Context(), gone)
		assert.Equal(t, NoServer, kind(t, err))
	})
	t.Run("somebody else's server", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Log("only root can be somebody else")
			return
		}
		other := target
		other.Identity.UID = d.Identity.UID - 1
		_, err := Probe(t.Context(), other)
		assert.Equal(t, Stranger, kind(t, err), "%v", err)
	})
	t.Run("root for another", func(t *testing.T) {
		if os.Getuid() != 0 {
			_, err := Probe(t.Context(), Target{Display: d.Display, Identity: d.Identity})
			assert.Equal(t, Refused, kind(t, err))
			return
		}
		require.NoError(t, os.Chmod(d.Xauthority, 0))
		_, err := Probe(t.Context(), target)
		assert.Equal(t, NoCookie, kind(t, err), "root's rights were used")
	})
}

// setup is an X server's answer of n four-byte units behind its head.
func setup(n byte, body string) []byte {
	return []byte("\x01\x00\x0b\x00\x00\x00" + string(n) + "\x00" + body)
}

func TestParseSetup(t *testing.T) {
	body := make([]byte, 32+4+8+24)
	body[16], body[20], body[21] = 3, 1, 1
	copy(body[32:], "Me\xff")
	body[44+20], body[44+21], body[44+22] = 0x20, 0x03, 0x58
	screen, err := parseSetup(setup(17, string(body)))
	require.NoError(t, err)
	assert.Equal(t, &Screen{Vendor: "Me?", Width: 800, Height: 88}, screen)
	for name, answer := range map[string][]byte{
		"nothing":       nil,
		"no screen":     setup(8, strings.Repeat("\x00", 32)),
		"a long vendor": setup(8, strings.Repeat("\xff", 32)),
		"half a screen": setup(17, string(body[:len(body)-1])),
	} {
		_, err := parseSetup(answer)
		assert.Equal(t, NoServer, kind(t, err), name)
	}
}

func FuzzSetup(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x00", 40)))
	f.Add([]byte(strings.Repeat("\x01", 400)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if screen, err := parseSetup(b); err == nil {
			require.LessOrEqual(t, len(screen.Vendor), 3*len(b))
		}
	})
}
