package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/fleet/spool"
	"vda.internal/shadow/internal/testenv"
)

func open(t *testing.T, dir string, o spool.Options) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// folder is where a spool may be. The tests' own folder is below one of everybody's.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	return filepath.Join(dir, "spool")
}

// take acknowledges all that waits, and returns the ids.
func take(t *testing.T, s *spool.Spool) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for s.State().Events > 0 {
		id, _, err := s.Peek(ctx)
		require.NoError(t, err)
		require.NoError(t, s.Ack(id))
		ids = append(ids, id)
	}
	return ids
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	require.NoError(t, err)
	return list
}

// Events come in their order, each until it is acknowledged, also from one process to the next.
func TestQueue(t *testing.T) {
	dir := folder(t)
	s := open(t, dir, spool.Options{MaxBytes: 64 << 10}) // files of 4 KiB
	var want []string
	for i := range 100 {
		id := fmt.Sprintf("event-%03d", i)
		require.NoError(t, s.Append(id, bytes.Repeat([]byte{byte(i)}, 10*i)))
		want = append(want, id)
	}
	assert.Greater(t, len(files(t, dir)), 5)
	for i := range 50 {
		id, data, err := s.Peek(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want[i], id)
		assert.Equal(t, bytes.Repeat([]byte{byte(i)}, 10*i), data)
		assert.ErrorIs(t, s.Ack("event-099"), spool.ErrNotFirst)
		again, _, err := s.Peek(t.Context())
		require.NoError(t, err)
		assert.Equal(t, id, again)
		require.NoError(t, s.Ack(id))
	}
	assert.Equal(t, 50, s.State().Events)
	require.NoError(t, s.Close())

	s = open(t, dir, spool.Options{})
	assert.Equal(t, 50, s.State().Events)
	assert.WithinDuration(t, time.Now(), s.State().Oldest, time.Hour)
	assert.Equal(t, want[50:], take(t, s))
	assert.Zero(t, s.State())
	assert.Len(t, files(t, dir), 1, "a file of which nothing waits")
}

// Peek waits for an event, and no longer than its context and the spool.
func TestPeekWaits(t *testing.T) {
	s := open(t, folder(t), spool.Options{})
	got := make(chan string)
	go func() {
		id, _, err := s.Peek(context.Background())
		got <- fmt.Sprint(id, err)
		_, _, err = s.Peek(context.Background())
		got <- fmt.Sprint(err)
	}()
	require.NoError(t, s.Append("one", nil))
	assert.Equal(t, "one<nil>", <-got)
	<-got
	require.NoError(t, s.Ack("one"))

	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, _, err := s.Peek(ctx)
		got <- err.Error()
		_, _, err = s.Peek(context.Background())
		got <- err.Error()
	}()
	cancel(errors.New("enough"))
	assert.Equal(t, "enough", <-got)
	require.NoError(t, s.Close())
	assert.Equal(t, spool.ErrClosed.Error(), <-got)
	assert.ErrorIs(t, s.Append("two", nil), spool.ErrClosed)
	assert.ErrorIs(t, s.Ack("two"), spool.ErrClosed)
	assert.NoError(t, s.Close())
}

// What waits isn't dropped for what comes: there is an error, and room again when something was taken.
func TestFull(t *testing.T) {
	dir := folder(t)
	s := open(t, dir, spool.Options{MaxBytes: 32 << 10})
	var want []string
	var err error
	for i := 0; err == nil && i < 100; i++ {
		id := fmt.Sprint(i)
		if err = s.Append(id, make([]byte, 1000)); err == nil {
			want = append(want, id)
		}
	}
	require.ErrorIs(t, err, spool.ErrFull)
	assert.Len(t, want, 31)
	var size int64
	for _, name := range files(t, dir) {
		info, err := os.Stat(name)
		require.NoError(t, err)
		size += info.Size()
	}
	assert.LessOrEqual(t, size, int64(32<<10))
	assert.Equal(t, s.State().Bytes, size)
	for range 3 {
		id, _, err := s.Peek(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want[0], id)
		require.NoError(t, s.Ack(id))
		want = want[1:]
	}
	require.NoError(t, s.Append("more", make([]byte, 1000)))
	assert.Equal(t, append(want, "more"), take(t, s))
	assert.Error(t, s.Append("", nil))
	assert.Error(t, s.Append(strings.Repeat("x", spool.MaxID+1), nil))
	assert.Error(t, s.Append("x", make([]byte, spool.MaxData+1)))
}

// Whoever delivers nothing for too long is told by the next append.
func TestAge(t *testing.T) {
	dir := folder(t)
	s := open(t, dir, spool.Options{})
	require.NoError(t, s.Append("old", nil))
	old := s.State().Oldest
	require.NoError(t, s.Close())
	s = open(t, dir, spool.Options{MaxAge: time.Nanosecond})
	for time.Since(old) < time.Microsecond {
	}
	require.ErrorIs(t, s.Append("new", nil), spool.ErrFull)
	assert.Equal(t, []string{"old"}, take(t, s))
	assert.NoError(t, s.Append("new", nil))
}

// Wherever the last append was cut short, what was there before it is there, and another can follow.
func TestCutShort(t *testing.T) {
	dir := folder(t)
	s := open(t, dir, spool.Options{})
	require.NoError(t, s.Append("first", []byte("one")))
	before := s.State().Bytes
	require.NoError(t, s.Append("second", []byte("two")))
	require.NoError(t, s.Close())
	name := files(t, dir)[0]
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	damaged := func(d spool.Damage) { t.Errorf("damage: %v", d) }
	for length := before; length < int64(len(whole)); length++ {
		for _, tail := range [][]byte{whole[before:length], make([]byte, length-before)} {
			require.NoError(t, os.WriteFile(name, append(append([]byte(nil), whole[:before]...), tail...), 0o600))
			s := open(t, dir, spool.Options{Damaged: damaged})
			require.Equal(t, 1, s.State().Events, "cut at %d", length)
			require.NoError(t, s.Append("third", []byte("three")))
			require.NoError(t, s.Close())
			s = open(t, dir, spool.Options{Damaged: damaged})
			require.Equal(t, []string{"first", "third"}, take(t, s), "cut at %d", length)
			require.NoError(t, s.Close())
		}
	}
}

// Bytes that a disk has lost cost the event that they were in, and somebody is told.
func TestDamage(t *testing.T) {
	const n = 20
	dir := folder(t)
	s := open(t, dir, spool.Options{MaxBytes: 64 << 10}) // so that there are several files
	for i := range n {
		require.NoError(t, s.Append(fmt.Sprintf("%02d", i), bytes.Repeat([]byte("x"), 500)))
	}
	require.NoError(t, s.Close())
	all := map[string][]byte{}
	for _, name := range files(t, dir) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		all[name] = data
	}
	require.Greater(t, len(all), 2)
	for name, data := range all {
		for at := 0; at < len(data); at += 131 {
			for name, data := range all {
				require.NoError(t, os.WriteFile(name, data, 0o600))
			}
			bad := append([]byte(nil), data...)
			bad[at] ^= 0xff
			require.NoError(t, os.WriteFile(name, bad, 0o600))
			var told []spool.Damage
			s := open(t, dir, spool.Options{Damaged: func(d spool.Damage) { told = append(told, d) }})
			got := take(t, s)
			require.NoError(t, s.Close())
			if at%526 == 4 { // the byte that says whether it is done
				continue
			}
			assert.Len(t, got, n-1, "byte %d of %s", at, name)
			if assert.Len(t, told, 1, "byte %d of %s", at, name) {
				assert.Equal(t, name, told[0].File)
				assert.LessOrEqual(t, told[0].From, int64(at))
				assert.Greater(t, told[0].From+told[0].Length, int64(at))
			}
		}
	}
}

// Nobody else can read what is spooled, put files in its way, or lead it elsewhere.
func TestFiles(t *testing.T) {
	make := func(t *testing.T) (dir, name string) {
		dir = folder(t)
		s := open(t, dir, spool.Options{})
		require.NoError(t, s.Append("one", []byte("data")))
		_, err := spool.Open(dir, spool.Options{})
		assert.ErrorContains(t, err, "another process uses")
		require.NoError(t, s.Close())
		return dir, files(t, dir)[0]
	}
	refused := func(t *testing.T, dir, because string) {
		t.Helper()
		s, err := spool.Open(dir, spool.Options{})
		if assert.ErrorContains(t, err, because) {
			return
		}
		_ = s.Close()
	}
	t.Run("modes", func(t *testing.T) {
		umask := syscall.Umask(0)
		defer syscall.Umask(umask)
		dir, name := make(t)
		for path, want := range map[string]os.FileMode{dir: 0o700, name: 0o600} {
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode().Perm(), path)
		}
	})
	t.Run("a link for the directory", func(t *testing.T) {
		dir, _ := make(t)
		require.NoError(t, os.Symlink(dir, dir+"-link"))
		refused(t, dir+"-link", "is a link")
	})
	t.Run("a link for a file", func(t *testing.T) {
		_, name := make(t)
		require.NoError(t, os.Rename(name, name+"-elsewhere"))
		require.NoError(t, os.Symlink(name+"-elsewhere", name))
		refused(t, filepath.Dir(name), "is a link")
	})
	t.Run("a second name", func(t *testing.T) {
		dir, name := make(t)
		require.NoError(t, os.Link(name, name+"-elsewhere"))
		refused(t, dir, "isn't a file that a spool has made")
	})
	t.Run("a pipe", func(t *testing.T) {
		dir, name := make(t)
		require.NoError(t, os.Remove(name))
		require.NoError(t, unix.Mkfifo(name, 0o600))
		refused(t, dir, "isn't a file that a spool has made")
	})
	t.Run("a file for everybody", func(t *testing.T) {
		dir, name := make(t)
		require.NoError(t, os.Chmod(name, 0o644))
		refused(t, dir, "isn't a file that a spool has made")
	})
	t.Run("a directory for everybody", func(t *testing.T) {
		dir, _ := make(t)
		require.NoError(t, os.Chmod(dir, 0o755))
		refused(t, dir, "mode 0700")
		require.NoError(t, os.Chmod(dir, 0o777))
		refused(t, dir, "writable by others")
	})
	t.Run("a way that others can change", func(t *testing.T) {
		dir, _ := make(t)
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o777))
		refused(t, dir, "writable by others")
	})
	t.Run("somebody else's", func(t *testing.T) {
		testenv.Root(t)
		dir, name := make(t)
		require.NoError(t, os.Chown(name, 1, -1))
		refused(t, dir, "isn't a file that a spool has made")
		require.NoError(t, os.Chown(dir, 1, -1))
		refused(t, dir, "belongs to uid 1")
	})
	t.Run("a file too long", func(t *testing.T) {
		dir, name := make(t)
		require.NoError(t, os.Truncate(name, 1<<40))
		refused(t, dir, "more than a spool's files have")
	})
	t.Run("no absolute path", func(t *testing.T) { refused(t, "spool", "isn't an absolute path") })
	t.Run("bounds", func(t *testing.T) {
		_, err := spool.Open(folder(t), spool.Options{MaxBytes: -1})
		assert.Error(t, err)
		_, err = spool.Open(folder(t), spool.Options{MaxBytes: 2 << 30})
		assert.Error(t, err)
	})
}

// Other bounds count at once, for the events that come.
func TestLimit(t *testing.T) {
	s := open(t, folder(t), spool.Options{MaxBytes: 1 << 10})
	require.ErrorIs(t, s.Append("a", make([]byte, 2<<10)), spool.ErrFull)
	require.NoError(t, s.Limit(16<<10, 0))
	require.NoError(t, s.Append("a", make([]byte, 2<<10)))
	require.Error(t, s.Limit(-1, 0))
	require.NoError(t, s.Append("b", make([]byte, 2<<10)))
}
