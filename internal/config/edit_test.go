package config

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/ctxreg"
)

func contentOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func TestSet(t *testing.T) {
	for _, test := range []struct{ name, before, after string }{
		{"empty", "", "EnableSessionShadowing = 0\n"},
		{"there", "# why\n EnableSessionShadowing  =  1   # on\n\n[ports]\n", "# why\n EnableSessionShadowing  =  0   # on\n\n[ports]\n"},
		{"hexadecimal", "EnableSessionShadowing = 0x00000001\n", "EnableSessionShadowing = 0x00000000\n"},
		{"already so", "EnableSessionShadowing = 0x0 # off\n", "EnableSessionShadowing = 0x0 # off\n"},
		{"quoted key", "\"EnableSessionShadowing\" = 1", "\"EnableSessionShadowing\" = 0"},
		{"behind the others", "ShadowingUseSSL = 1 # wss\nsettings = \"file\"\n# end\n", "ShadowingUseSSL = 1 # wss\nsettings = \"file\"\nEnableSessionShadowing = 0\n# end\n"},
		{"no line break at the end", "ShadowingUseSSL = 1", "ShadowingUseSSL = 1\nEnableSessionShadowing = 0\n"},
		{"above the first table", "# mine\n\n# where\n  # viewers come\n[ports] # these\nfirst = 6002\n", "# mine\n\nEnableSessionShadowing = 0\n# where\n  # viewers come\n[ports] # these\nfirst = 6002\n"},
		{"a table at the top", "[ports]\nfirst = 6002\n", "EnableSessionShadowing = 0\n\n[ports]\nfirst = 6002\n"},
		{"only comments", "# nothing yet\n", "# nothing yet\nEnableSessionShadowing = 0\n"},
		{"commented out", "#EnableSessionShadowing = 1\n", "#EnableSessionShadowing = 1\nEnableSessionShadowing = 0\n"},
		{"line breaks of another system", "ShadowingUseSSL = 1\r\n[ports]\r\n", "ShadowingUseSSL = 1\r\nEnableSessionShadowing = 0\r\n[ports]\r\n"},
		{"an array table first", "sessions = {resolver = \"static\", static = [{id = \"1\", display = \":1\", user = \"u\"}]}\n", "sessions = {resolver = \"static\", static = [{id = \"1\", display = \":1\", user = \"u\"}]}\nEnableSessionShadowing = 0\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.before)
			require.NoError(t, Set(path, ctxreg.EnableSessionShadowing, 0))
			assert.Equal(t, test.after, contentOf(t, path))
			c, err := Load(path)
			require.NoError(t, err)
			assert.False(t, c.EnableSessionShadowing)
		})
	}
}

// Whatever notation the file has that Load takes.
func TestEveryNotation(t *testing.T) {
	for text, want := range map[string]uint32{
		"1": 1, "+1": 1, "0x1": 1, "0x0000_0001": 1, "0o1": 1, "0b1": 1, "0o0_1": 1, "0b01": 1,
		"0": 0, "+0": 0, "-0": 0, "0x0": 0, "0o0": 0, "0b0": 0, "0xFFFF": 9, "1_0": 9, "01": 9, "0X1": 9, "-1": 9, "1.0": 9, "true": 9,
	} {
		path := write(t, "# why\nEnableSessionShadowing = "+text+" # on\n")
		c, err := Load(path)
		values, valuesErr := Values(path)
		setErr := Set(path, ctxreg.EnableSessionShadowing, 1-want&1)
		if err != nil {
			require.Contains(t, []uint32{9}, want, "%s: %v", text, err)
			require.Error(t, valuesErr, text)
			require.Error(t, setErr, text)
			continue
		}
		require.NoError(t, valuesErr, text)
		require.Equal(t, ctxreg.Values{ctxreg.EnableSessionShadowing: want}, values, text)
		require.Equal(t, c.EnableSessionShadowing, want == 1, text)
		require.NoError(t, setErr, text)
		values, err = Values(path)
		require.NoError(t, err)
		require.Equal(t, ctxreg.Values{ctxreg.EnableSessionShadowing: 1 - want}, values, text)
		require.Regexp(t, "^# why\nEnableSessionShadowing = 0?x?0*"+strconv.Itoa(int(1-want))+" # on\n$", contentOf(t, path))

		same := write(t, "EnableSessionShadowing = "+text)
		require.NoError(t, Set(same, ctxreg.EnableSessionShadowing, want))
		require.Equal(t, "EnableSessionShadowing = "+text, contentOf(t, same), "what it is already isn't written")
		require.ErrorIs(t, Create(same, ctxreg.EnableSessionShadowing, want), ErrExists, text)
	}
}

func TestDelete(t *testing.T) {
	path := write(t, "# a\nShadowingUseSSL = 1 # b\nEnableSessionShadowing = 0x0\n[ports]\n")
	was, err := Delete(path, ctxreg.ShadowingUseSSL)
	require.NoError(t, err)
	assert.True(t, was)
	assert.Equal(t, "# a\nEnableSessionShadowing = 0x0\n[ports]\n", contentOf(t, path))
	was, err = Delete(path, ctxreg.ShadowingUseSSL)
	require.NoError(t, err)
	assert.False(t, was)
	values, err := Values(path)
	require.NoError(t, err)
	assert.Equal(t, ctxreg.Values{ctxreg.EnableSessionShadowing: 0}, values)
}

func TestEditMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xdl", "shadowing.toml")
	values, err := Values(path)
	require.NoError(t, err)
	assert.Empty(t, values)
	require.NoError(t, Set(path, ctxreg.ShadowingUseSSL, 1))
	assert.Equal(t, "ShadowingUseSSL = 1\n", contentOf(t, path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode())
}

func TestEditKeepsTheFilesOwnerAndMode(t *testing.T) {
	path := write(t, "")
	require.NoError(t, os.Chmod(path, 0o640))
	uid := os.Getuid()
	if uid == 0 {
		uid = 65534
		require.NoError(t, os.Chown(path, uid, 65534))
	}
	link := filepath.Join(t.TempDir(), "link.toml")
	require.NoError(t, os.Symlink(path, link))
	before, err := os.Stat(path)
	require.NoError(t, err)

	require.NoError(t, Set(link, ctxreg.EnableSessionShadowing, 0))
	after, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, before.Mode(), after.Mode())
	assert.Equal(t, uint32(uid), after.Sys().(*syscall.Stat_t).Uid)
	assert.False(t, os.SameFile(before, after), "it was written in place, so that half of it could be read")
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink, "the link was replaced")
	assert.Equal(t, "EnableSessionShadowing = 0\n", contentOf(t, path))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.Equal(t, []string{"." + filepath.Base(path) + ".lock", filepath.Base(path)}, names, "something was left behind")
}

// What a link leads to is made where the link says, even if it isn't there.
func TestEditThroughADanglingLink(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "real", "deep"), 0o755))
	require.NoError(t, os.Symlink("real/deep", filepath.Join(dir, "etc")))
	require.NoError(t, os.Symlink("../second", filepath.Join(dir, "etc", "shadowing.toml")))
	require.NoError(t, os.Symlink("third", filepath.Join(dir, "real", "second")))
	require.NoError(t, Set(filepath.Join(dir, "etc", "shadowing.toml"), ctxreg.ShadowingUseSSL, 1))
	assert.Equal(t, "ShadowingUseSSL = 1\n", contentOf(t, filepath.Join(dir, "real", "third")))
	info, err := os.Lstat(filepath.Join(dir, "etc", "shadowing.toml"))
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink, "the link was replaced")

	loop := filepath.Join(dir, "loop")
	require.NoError(t, os.Symlink("loop", loop))
	require.ErrorIs(t, Set(loop, ctxreg.ShadowingUseSSL, 1), syscall.ELOOP)
}

// Two that change different values at the same time both get their way.
func TestEditsDontLoseEachOther(t *testing.T) {
	path := write(t, "EnableSessionShadowing = 0\nShadowingUseSSL = 0\n")
	for round := range 50 {
		value := uint32(1 - round%2)
		var edits errgroup
		for _, name := range ctxreg.Names() {
			edits.run(func() error { return Set(path, name, value) })
		}
		require.NoError(t, edits.wait())
		values, err := Values(path)
		require.NoError(t, err)
		require.Equal(t, ctxreg.Values{ctxreg.EnableSessionShadowing: value, ctxreg.ShadowingUseSSL: value}, values)
	}
}

// Of many that create a value one does, and the others are told so.
func TestCreateOnce(t *testing.T) {
	for range 20 {
		path := write(t, "# empty\n")
		const many = 8
		var lock sync.Mutex
		var edits errgroup
		refused := 0
		for i := range many {
			edits.run(func() error {
				err := Create(path, ctxreg.ShadowingUseSSL, uint32(i%2))
				if errors.Is(err, ErrExists) {
					lock.Lock()
					defer lock.Unlock()
					refused++
					return nil
				}
				return err
			})
		}
		require.NoError(t, edits.wait())
		require.Equal(t, many-1, refused)
	}
	path := write(t, "ShadowingUseSSL = 0x1 # mine\n")
	require.ErrorIs(t, Create(path, ctxreg.ShadowingUseSSL, 1), ErrExists, "the same data is no reason to pass over it")
	require.ErrorContains(t, Create(path, ctxreg.ShadowingUseSSL, 0), "ShadowingUseSSL is 0x00000001")
	assert.Equal(t, "ShadowingUseSSL = 0x1 # mine\n", contentOf(t, path))
}

// An errgroup runs functions at the same time.
type errgroup struct {
	all  sync.WaitGroup
	lock sync.Mutex
	errs []error
}

func (g *errgroup) run(do func() error) {
	g.all.Go(func() {
		err := do()
		g.lock.Lock()
		defer g.lock.Unlock()
		g.errs = append(g.errs, err)
	})
}

func (g *errgroup) wait() error { g.all.Wait(); return errors.Join(g.errs...) }

// What isn't understood isn't changed.
func TestEditLeavesABrokenFileAlone(t *testing.T) {
	for _, content := range []string{"EnableSessionShadowing = 1\n[ports\n", "EnableSessionShadowing = 7\n", "prots = 1\n"} {
		path := write(t, content)
		require.Error(t, Set(path, ctxreg.EnableSessionShadowing, 0), content)
		_, err := Delete(path, ctxreg.EnableSessionShadowing)
		require.Error(t, err, content)
		_, err = Values(path)
		require.Error(t, err, content)
		assert.Equal(t, content, contentOf(t, path))
	}
	path := write(t, "")
	require.ErrorContains(t, Set(path, ctxreg.EnableSessionShadowing, 2), "allowed are 0 and 1")
	assert.Empty(t, contentOf(t, path))
}

func TestSettingsThroughCtxreg(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "ctxreg")
	say := func(lines string) {
		require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\n"+lines), 0o700))
	}
	// The file's own values don't count.
	settings := SettingsFrom(write(t, "EnableSessionShadowing = 0\nsettings = \"ctxreg\"\nctxreg = \""+tool+"\"\n"))
	say(`echo EnableSessionShadowing 0x00000001; echo ShadowingUseSSL 0x00000001`)
	s, err := settings(t.Context())
	require.NoError(t, err)
	assert.True(t, s.EnableSessionShadowing)
	assert.True(t, s.ShadowingUseSSL)
	say(`echo EnableSessionShadowing 0x00000000; echo ShadowingUseSSL 0x00000000`)
	s, err = settings(t.Context())
	require.NoError(t, err)
	assert.False(t, s.EnableSessionShadowing)
	say(`echo something else`)
	_, err = settings(t.Context())
	require.ErrorContains(t, err, "EnableSessionShadowing")
}

// Whatever the file looks like, the edited one says what was asked for, and
// says nothing else differently.
func FuzzSet(f *testing.F) {
	f.Add("# a\n[ports]\nfirst = 6001\n", true)
	f.Add("EnableSessionShadowing = 0x1 # b\r\n", false)
	f.Add(everything, true)
	f.Add("'EnableSessionShadowing' = 0\n\n#\n[[sessions.static]]\n", true)
	f.Fuzz(func(t *testing.T, doc string, on bool) {
		before, err := parse("before", []byte(doc))
		if err != nil {
			return
		}
		want := uint32(0)
		if on {
			want = 1
		}
		changed, err := setValue([]byte(doc), ctxreg.EnableSessionShadowing, want)
		require.NoError(t, err)
		after, err := parse("after", changed)
		require.NoError(t, err, "%q", changed)
		require.Equal(t, on, after.EnableSessionShadowing)
		before.EnableSessionShadowing = on
		require.Equal(t, before, after)
		require.GreaterOrEqual(t, strings.Count(string(changed), "#"), strings.Count(doc, "#"))

		gone, was, err := deleteValue(changed, ctxreg.EnableSessionShadowing)
		require.NoError(t, err)
		require.True(t, was)
		after, err = parse("gone", gone)
		require.NoError(t, err, "%q", gone)
		require.True(t, after.EnableSessionShadowing)
	})
}
