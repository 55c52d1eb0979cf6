package spool_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// writerVariable is the spool of a test binary that only appends and acknowledges, until it is killed.
const writerVariable = "SHADOW_TEST_SPOOL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVariable); dir != "" {
		write(dir)
	}
	os.Exit(m.Run())
}

// write says of each event that it is promised, and of each that it is done. Of two it takes one.
func write(dir string) {
	s, err := spool.Open(dir, spool.Options{MaxBytes: 1 << 20})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("%d-%06d", os.Getpid(), i)
		if err := s.Append(id, make([]byte, rand.IntN(3000))); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("promised", id)
		if i%2 == 0 {
			continue
		}
		if id, _, err = s.Peek(context.Background()); err == nil {
			fmt.Println("acknowledging", id)
			err = s.Ack(id)
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("done", id)
	}
}

// However often the process is killed, what it was promised is there, once, in its order, and what was
// acknowledged isn't.
func TestKilled(t *testing.T) {
	dir := folder(t)
	self, err := os.Executable()
	require.NoError(t, err)
	var promised []string
	done, maybe := map[string]bool{}, map[string]bool{}
	for range 12 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), writerVariable+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		guard := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
		lines, after := 0, 1+rand.IntN(60)
		for in := bufio.NewScanner(out); in.Scan(); lines++ {
			word, rest, _ := strings.Cut(in.Text(), " ")
			switch word {
			case "promised":
				promised = append(promised, rest)
			case "acknowledging":
				maybe[rest] = true
			case "done":
				done[rest] = true
			default:
				t.Errorf("the process says: %s", in.Text())
			}
			if lines == after {
				require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
			}
		}
		_ = cmd.Wait()
		guard.Stop()
		require.GreaterOrEqual(t, lines, after, "the process ended by itself")
	}
	s := open(t, dir, spool.Options{MaxBytes: 1 << 20, Damaged: func(d spool.Damage) { t.Errorf("damage: %v", d) }})
	known := map[string]bool{}
	for _, id := range promised {
		known[id] = true
	}
	var got, want []string
	has := map[string]bool{}
	for _, id := range take(t, s) {
		assert.False(t, has[id], "%s is there twice", id)
		assert.False(t, done[id], "%s was acknowledged", id)
		has[id] = true
		if known[id] { // else it was killed between writing the event and saying so
			got = append(got, id)
		}
	}
	for _, id := range promised {
		if !done[id] && (has[id] || !maybe[id]) {
			want = append(want, id)
		}
	}
	assert.Greater(t, len(want), 20)
	assert.Equal(t, want, got)
}

// What is promised was synced before: the file's bytes, and a new file's name.
func TestSynced(t *testing.T) {
	strace := testenv.Program(t, "strace", "strace")
	dir := folder(t)
	self, err := os.Executable()
	require.NoError(t, err)
	trace := dir + ".trace"
	cmd := exec.Command(strace, "-f", "-y", "-o", trace, "-e", "trace=openat,pwrite64,fsync,write", self)
	cmd.Env = append(os.Environ(), writerVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	guard := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	in := bufio.NewScanner(out)
	for promised := 0; promised < 40; {
		require.True(t, in.Scan(), "the process has ended")
		if strings.HasPrefix(in.Text(), "promised") {
			promised++
		}
	}
	_ = out.Close() // the process ends with its next line
	_ = cmd.Wait()

	data, err := os.ReadFile(trace)
	require.NoError(t, err)
	unsynced := map[string]bool{}
	path := regexp.MustCompile(`<([^>]*)>`)
	appends, promised := 0, 0
	for line := range strings.SplitSeq(string(data), "\n") {
		found := path.FindAllStringSubmatch(line, -1)
		if len(found) == 0 {
			continue
		}
		first, last := found[0][1], found[len(found)-1][1]
		switch {
		case strings.Contains(line, "openat(") && strings.Contains(line, "O_CREAT") && strings.HasPrefix(last, dir):
			unsynced[dir] = true
		case strings.Contains(line, "pwrite64(") && strings.HasSuffix(first, ".spool") && !strings.Contains(line, `"\1", 1`):
			unsynced[first] = true
			appends++
		case strings.Contains(line, "fsync("):
			delete(unsynced, first)
		case strings.Contains(line, `"promised `):
			promised++
			require.Empty(t, unsynced, "what wasn't synced before: %s", line)
		}
	}
	assert.GreaterOrEqual(t, promised, 40)
	assert.GreaterOrEqual(t, appends, promised)
}

// On a full disk an append fails and loses nothing, an acknowledgement makes room.
func TestFullDisk(t *testing.T) {
	if !testenv.InNamespaces(t, 5*time.Minute) {
		return
	}
	disk := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "mode=700,size=256k"))
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	dir := filepath.Join(disk, "spool")
	o := spool.Options{MaxBytes: 512 << 10, Damaged: func(d spool.Damage) { t.Errorf("damage: %v", d) }}
	s := open(t, dir, o)
	var want []string
	fill := func() {
		t.Helper()
		for i := range 1000 {
			id := fmt.Sprintf("%d-%d", len(want), i)
			if err := s.Append(id, make([]byte, 3000)); err != nil {
				require.ErrorIs(t, err, spool.ErrFull)
				require.ErrorIs(t, err, syscall.ENOSPC)
				return
			}
			want = append(want, id)
		}
		t.Fatal("the disk never gets full")
	}
	fill()
	assert.Greater(t, len(want), 40)
	require.Error(t, s.Append("again", make([]byte, 3000)))

	// Another process finds all of it on the full disk.
	require.NoError(t, s.Close())
	s = open(t, dir, o)
	assert.Equal(t, len(want), s.State().Events)
	for range 3 {
		for range 30 {
			id, _, err := s.Peek(t.Context())
			require.NoError(t, err)
			require.Equal(t, want[0], id)
			require.NoError(t, s.Ack(id), "a full disk keeps nothing from being done")
			want = want[1:]
		}
		fill()
	}
	assert.Equal(t, want, take(t, s))

	// A disk that somebody else fills, before there is any file.
	require.NoError(t, s.Close())
	for _, name := range files(t, dir) {
		require.NoError(t, os.Remove(name))
	}
	s = open(t, dir, o)
	hog, err := os.Create(filepath.Join(disk, "hog"))
	require.NoError(t, err)
	for err == nil {
		_, err = hog.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, s.Append("one", []byte("x")), spool.ErrFull)
	require.NoError(t, hog.Truncate(0))
	require.NoError(t, hog.Close())
	require.NoError(t, s.Append("two", []byte("x")))
	assert.Equal(t, []string{"two"}, take(t, s))
}

// Whatever is in the files, the spool opens, or says why not, and goes on.
func FuzzFiles(f *testing.F) {
	dir := f.TempDir()
	require.NoError(f, os.Chmod(dir, 0o700))
	s, err := spool.Open(filepath.Join(dir, "seed"), spool.Options{})
	require.NoError(f, err)
	for _, id := range []string{"one", "two"} {
		require.NoError(f, s.Append(id, []byte(id)))
	}
	require.NoError(f, s.Close())
	data, err := os.ReadFile(filepath.Join(dir, "seed", "0000000000000001.spool"))
	require.NoError(f, err)
	f.Add(data, data)
	f.Add(data[:len(data)-1], data[1:])
	f.Add([]byte{}, []byte("\xffSP1"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := folder(t)
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "0000000000000001.spool"), first, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "0000000000000007.spool"), second, 0o600))
		s, err := spool.Open(dir, spool.Options{})
		if err != nil {
			require.Greater(t, max(len(first), len(second)), 1<<20)
			return
		}
		defer s.Close()
		waiting := s.State().Events
		require.NoError(t, s.Append("last", []byte("data")))
		ids := take(t, s)
		require.Len(t, ids, waiting+1)
		require.Equal(t, "last", ids[waiting])
	})
}

func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	s, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	require.NoError(b, err)
	defer s.Close()
	data := make([]byte, 600)
	for b.Loop() {
		require.NoError(b, s.Append("id", data))
		require.NoError(b, s.Ack("id"))
	}
}
