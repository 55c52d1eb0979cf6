package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/strict"
)

const (
	suffix  = ".spool"
	maxList = 4096 // files of one spool
)

// A directory is a spool's, locked.
type directory struct {
	path string
	f    *os.File
}

func openDirectory(path string) (*directory, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q isn't an absolute path", path)
	}
	path = filepath.Clean(path)
	if err := mkdir(path); err != nil {
		return nil, err
	}
	if err := strict.Check(path); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_RDONLY, 0)
	if err != nil {
		if link, statErr := os.Lstat(path); statErr == nil && link.Mode()&os.ModeSymlink != 0 {
			return nil, fmt.Errorf("%s is a link: give the directory itself", path)
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d := &directory{path, os.NewFile(uintptr(fd), path)}
	if err := d.claim(); err != nil {
		_ = d.close()
		return nil, err
	}
	return d, nil
}

// mkdir makes the directory if it isn't there, for good.
func mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

// claim checks whose the directory is, and locks it for as long as it is open.
func (d *directory) claim() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(d.f.Fd()), &st); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		return fmt.Errorf("%s must be this program's own (uid %d, and mode 0700): it is uid %d's, mode %04o", d.path, os.Geteuid(), st.Uid, st.Mode&0o7777)
	}
	switch err := unix.Flock(int(d.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("another process uses %s", d.path)
	case err != nil:
		return fmt.Errorf("locking %s: %w", d.path, err)
	}
	return nil
}

func (d *directory) close() error { return d.f.Close() }

// list is the numbers of the files that are there, in order.
func (d *directory) list() ([]uint64, error) {
	names, err := d.f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		hex, ok := strings.CutSuffix(name, suffix)
		n, err := strconv.ParseUint(hex, 16, 64)
		if ok && err == nil && baseName(n) == name {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) > maxList {
		return nil, fmt.Errorf("%s has %d files, more than any spool: move it away", d.path, len(numbers))
	}
	slices.Sort(numbers)
	return numbers, nil
}

func baseName(number uint64) string { return fmt.Sprintf("%016x%s", number, suffix) }

// file is the path of a file, for people.
func (d *directory) file(number uint64) string { return filepath.Join(d.path, baseName(number)) }

// create makes a file, and has the directory know it for good.
func (d *directory) create(number uint64) (*file, error) {
	opened, err := d.openFile(number, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := d.f.Sync(); err != nil {
		_ = opened.Close()
		return nil, errors.Join(err, d.remove(number))
	}
	return &file{dir: d, number: number, f: opened}, nil
}

func (d *directory) open(number uint64) (*file, error) {
	f := &file{dir: d, number: number}
	return f, f.acquire()
}

// openFile opens a file if it is a regular one of this process's own, with one name.
func (d *directory) openFile(number uint64, flags int) (*os.File, error) {
	path := d.file(number)
	fd, err := unix.Openat(int(d.f.Fd()), baseName(number), flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a link, which no spool has: remove it", path)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || int(st.Uid) != os.Geteuid() || st.Nlink != 1 || st.Mode&0o077 != 0 {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s isn't a file that a spool has made (uid %d's, mode 0600, with one name): move it away", path, os.Geteuid())
	}
	if flags&os.O_CREATE == 0 && st.Size > maxFile {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s has %d bytes, more than a spool's files have: move it away", path, st.Size)
	}
	if err := unix.SetNonblock(fd, false); err != nil { // it was for a pipe, which would wait for a writer
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (d *directory) remove(number uint64) error {
	if err := unix.Unlinkat(int(d.f.Fd()), baseName(number), 0); err != nil {
		return &os.PathError{Op: "remove", Path: d.file(number), Err: err}
	}
	return nil
}
