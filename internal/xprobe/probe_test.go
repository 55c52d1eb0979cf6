package xprobe

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testhost"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

func kindOf(t *testing.T, err error) Kind {
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
		assert.Equal(t, Refused, kindOf(t, err), "%v", err)
	})
	t.Run("cookie missing", func(t *testing.T) {
		missing := target
		missing.Xauthority = filepath.Join(d.Home, "none")
		_, err := Probe(t.Context(), missing)
		assert.Equal(t, NoCookie, kindOf(t, err))
		assert.ErrorContains(t, err, "no such file")
	})
	t.Run("cookie of another display", func(t *testing.T) {
		number, err := strconv.Atoi(strings.TrimPrefix(d.Display, ":"))
		require.NoError(t, err)
		data, err := os.ReadFile(d.Xauthority)
		require.NoError(t, err)
		require.NotEmpty(t, cookiesFor(data, strconv.Itoa(number)))
		assert.Empty(t, cookiesFor(data, strconv.Itoa(number+1)))
	})
	t.Run("no server", func(t *testing.T) {
		gone := target
		gone.Display = ":59999"
		gone.Xauthority = ""
		_, err := Probe(t.Context(), gone)
		assert.Equal(t, NoServer, kindOf(t, err))
		gone.Display = "elsewhere:1"
		_, err = Probe(t.Context(), gone)
		assert.Equal(t, NoServer, kindOf(t, err))
	})
	t.Run("somebody else's server", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Log("only root can be somebody else")
			return
		}
		other := target
		other.Identity.UID = d.Identity.UID - 1
		_, err := Probe(t.Context(), other)
		assert.Equal(t, Stranger, kindOf(t, err), "%v", err)
	})
	t.Run("root for another", func(t *testing.T) {
		if os.Getuid() != 0 {
			_, err := Probe(t.Context(), Target{Display: d.Display, Identity: d.Identity})
			assert.Equal(t, Refused, kindOf(t, err))
			return
		}
		require.NoError(t, os.Chmod(d.Xauthority, 0))
		_, err := Probe(t.Context(), target)
		assert.Equal(t, NoCookie, kindOf(t, err), "root's rights were used")
	})
}

// Whatever answers on the socket, there is a verdict in time.
func TestStrangeServers(t *testing.T) {
	for name, test := range map[string]struct {
		says string
		want string
	}{
		"says nothing":  {"", "it hung up"},
		"half a head":   {"\x01\x00", "it hung up"},
		"half a body":   {"\x01\x00\x0b\x00\x00\x00\x20\x00abc", "half an answer"},
		"no screen":     {"\x01\x00\x0b\x00\x00\x00\x08\x00" + strings.Repeat("\x00", 32), "isn't an X server"},
		"a long vendor": {"\x01\x00\x0b\x00\x00\x00\x08\x00" + strings.Repeat("\xff", 32), "isn't an X server"},
		"no":            {"\x00\x05\x0b\x00\x00\x00\x02\x00Sorry\x00\x00\x00", `refuses: "Sorry"`},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				_, _ = far.Read(make([]byte, 100))
				_, _ = far.Write([]byte(test.says))
				_ = far.Close()
			}()
			require.NoError(t, near.SetDeadline(time.Now().Add(10*time.Second)))
			_, err := setUp(near, nil)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func FuzzSetup(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x00", 32)), "1")
	f.Add([]byte("\x01\x00\x00\x03abc\x00\x011\x00\x12MIT-MAGIC-COOKIE-1\x00\x02xy"), "1")
	f.Fuzz(func(t *testing.T, b []byte, number string) {
		if screen, err := parseSetup(b); err == nil {
			require.LessOrEqual(t, len(screen.Vendor), 3*len(b))
		}
		for _, c := range cookiesFor(b, number) {
			require.NotEmpty(t, c)
		}
	})
}
