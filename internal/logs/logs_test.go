package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
)

// A pipe that nobody reads holds nobody up; once it is read, it tells what is missing.
func TestQueueInFrontOfAFullPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	require.NoError(t, err)
	q := NewQueue(w)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const lines = 3 * maxQueued / 1024
	for range lines {
		n, err := q.Write(line)
		require.NoError(t, err)
		require.Equal(t, 1024, n)
	}
	assert.ErrorContains(t, q.Close(10*time.Millisecond), "lines were not written")

	read := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(r)
		read <- all
	}()
	<-q.done
	w.Close()
	all := <-read
	whole := bytes.Count(all, line)
	assert.GreaterOrEqual(t, whole, maxQueued/1024)
	assert.Less(t, whole, lines)
	last := all[whole*1024:]
	assert.Regexp(t, `^\{"level":"error","time":"[^"]+","lines":\d+,"message":"lines were left out`, string(last))
}

type slow struct {
	bytes.Buffer
	d time.Duration
}

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(s.d)
	return s.Buffer.Write(p)
}

func TestQueueKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slow{d: time.Second}
		q := NewQueue(w)
		begun := time.Now()
		for _, s := range []string{"a", "b", "c"} {
			p := []byte(s)
			_, _ = q.Write(p)
			p[0] = 'x' // it is the caller's again
		}
		assert.Zero(t, time.Since(begun))
		require.NoError(t, q.Close(time.Minute))
		assert.Equal(t, "abc", w.String())
		_, err := q.Write([]byte("late"))
		require.NoError(t, err)
		assert.Equal(t, "abc", w.String())
	})
}

// logrotate(8) renames the file and tells the daemon, which loses nothing.
func TestFileIsBegunAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := OpenFile(path, 0o600)
	require.NoError(t, err)
	write := func(s string) {
		_, err := f.Write([]byte(s))
		require.NoError(t, err)
	}
	write("1\n")
	require.NoError(t, os.Rename(path, path+".1"))
	write("2\n")
	require.NoError(t, f.Reopen())
	write("3\n")
	for name, want := range map[string]string{path + ".1": "1\n2\n", path: "3\n"} {
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	require.NoError(t, os.Rename(path, path+".2"))
	require.NoError(t, os.Mkdir(path, 0o700))
	require.Error(t, f.Reopen())
	write("4\n")
	got, err := os.ReadFile(path + ".2")
	require.NoError(t, err)
	assert.Equal(t, "3\n4\n", string(got), "the one from before stays")
	require.NoError(t, f.Close())
}

// While it is rotated again and again, each line is in one of the files, and whole; and no Write fails,
// which would refuse a request.
func TestFileIsRotatedUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := OpenFile(path, 0o600)
	require.NoError(t, err)
	const writers, each, rotations = 4, 2000, 200
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				line := fmt.Sprintf("%d %d\n", w, i)
				n, err := f.Write([]byte(line))
				assert.NoError(t, err)
				assert.Equal(t, len(line), n)
			}
		})
	}
	files := []string{path}
	for i := range rotations {
		old := fmt.Sprintf("%s.%d", path, i)
		require.NoError(t, os.Rename(path, old))
		require.NoError(t, f.Reopen())
		files = append(files, old)
	}
	writing.Wait()
	require.NoError(t, f.Close())
	seen := map[string]int{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			seen[line]++
		}
	}
	assert.Len(t, seen, writers*each)
	for line, n := range seen {
		require.Equal(t, 1, n, line)
	}
}

// A line that a full disk takes in part is taken back: after a rotation, which may be what makes room, the
// next file begins with it.
func TestFileOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		testenv.Lack(t, "a small file system can't be mounted: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	path := filepath.Join(dir, "audit.log")
	f, err := OpenFile(path, 0o600)
	require.NoError(t, err)
	defer f.Close()
	line := []byte(strings.Repeat("x", 999) + "\n")
	whole := 0
	for ; ; whole++ {
		var n int
		if n, err = f.Write(line); err != nil {
			assert.Zero(t, n)
			break
		}
		require.Less(t, whole, 100)
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat(string(line), whole), string(data))

	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=1m"))
	require.NoError(t, f.Reopen())
	_, err = f.Write(line)
	require.NoError(t, err)
	data, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(line), string(data))
}

// A file that takes nothing, as a pipe does that nobody reads, holds up neither the end nor a new beginning.
func TestFileThatHangs(t *testing.T) {
	for name, do := range map[string]func(f *File, path string) error{
		"close": func(f *File, _ string) error { return f.Close() },
		"reopen": func(f *File, path string) error {
			if err := os.Rename(path, path+".1"); err != nil {
				return err
			}
			if err := f.Reopen(); err != nil {
				return err
			}
			_, err := f.Write([]byte("anew\n"))
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			require.NoError(t, unix.Mkfifo(path, 0o600))
			r, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			defer r.Close()
			f, err := OpenFile(path, 0o600)
			require.NoError(t, err)
			wrote := make(chan error, 1)
			go func() {
				_, err := f.Write(make([]byte, 1<<20))
				wrote <- err
			}()
			time.Sleep(100 * time.Millisecond)
			did := make(chan error, 1)
			go func() { did <- do(f, path) }()
			select {
			case err := <-did:
				assert.NoError(t, err)
			case <-time.After(testenv.Patience):
				t.Error("it hangs")
				_, _ = io.ReadFull(r, make([]byte, 1<<20))
			}
			select {
			case err := <-wrote:
				assert.Error(t, err, "it is tried again")
			case <-time.After(testenv.Patience):
				t.Error("the write hangs")
			}
		})
	}
}
