package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	lockTime = 10 * time.Second      // for which a lock is waited for
	lockWait = 10 * time.Millisecond // between two looks
	maxLinks = 40                    // symbolic links on the way to a file, as the kernel allows
)

// target follows the symbolic links that path is, to what may not be there yet.
func target(path string) (string, error) {
	for range maxLinks {
		to, err := os.Readlink(path)
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrNotExist) {
			return path, nil // no link
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			// Not joined, which would take "link/.." away.
			dir, _ := filepath.Split(path)
			to = dir + to
		}
		path = to
	}
	return "", &fs.PathError{Op: "readlink", Path: path, Err: syscall.ELOOP}
}

// lock keeps others from changing the file at path until unlock. The lock is a
// file of its own, since the one at path is replaced, and nobody else's, so
// that no other user can hold it; it stays, since who removes it may let in two.
func lock(path string) (unlock func(), err error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockTime); ; time.Sleep(lockWait) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end):
			_ = f.Close()
			return nil, fmt.Errorf("another program is changing %s, and keeps %s locked: %w", path, name, err)
		}
	}
}
