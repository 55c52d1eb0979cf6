package signin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"vda.internal/shadow/internal/host/strict"
)

const maxFile = 4 << 20 // bytes of a file of accounts or tokens

// A watched is what a file says, read anew when it has changed.
type watched[T any] struct {
	mu    sync.Mutex
	stamp stamp
	value T
	err   error
}

// A stamp tells whether a file has changed.
type stamp struct {
	inode   uint64
	size    int64
	changed time.Time
	mode    os.FileMode
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	s := stamp{size: info.Size(), changed: info.ModTime(), mode: info.Mode()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = st.Ino
	}
	return s, nil
}

// get is what the file at path says by now.
func (w *watched[T]) get(path string, parse func([]byte) (T, error)) (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, err := stampOf(path)
	if err != nil {
		w.stamp, w.err = stamp{}, err
		var none T
		return none, err
	}
	// A file that was changed in the last seconds may change again under the same stamp.
	if now == w.stamp && time.Since(now.changed) > 2*time.Second {
		return w.value, w.err
	}
	w.stamp = now
	data, err := readSecret(path)
	if err == nil {
		w.value, err = parse(data)
	}
	if w.err = err; err != nil {
		var none T
		w.value = none
	}
	return w.value, w.err
}

// ReadSecret is the first line of a file that others may neither change nor read.
func ReadSecret(path string) (string, error) {
	data, err := readSecret(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimRight(line, "\r")
	if line == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return line, nil
}

// readSecret reads a file that others may neither change nor read.
func readSecret(path string) ([]byte, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := strict.Check(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s isn't a regular file", path)
	case info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("%s can be read by everybody: do chmod o= %s", path, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, err
}

// likeThat gives f owner, group and mode of the file at path.
func likeThat(f *os.File, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("this system doesn't say whose a file is")
	}
	if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return f.Chmod(info.Mode().Perm())
}
