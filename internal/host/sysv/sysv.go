//go:build linux

// Package sysv removes the System V shared memory that killed children leave
// behind (sysvipc(7)): nobody else does, and the kernel has room for a few
// thousand segments.
package sysv

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Creator is the process whose segments are meant.
type Creator struct {
	PID   int
	UID   uint32
	Since time.Time // when it was started; it has created nothing before
}

// Remove removes the private segments (IPC_PRIVATE) that c has created, and returns how
// many. The caller makes sure that c's number is still its own: that it is dead and
// not reaped. Who is attached to a segment, as the X server may be for a moment, keeps it
// until it detaches.
func Remove(c Creator) (removed int, err error) {
	removed, _, err = remove(c, false)
	return removed, err
}

// remove is Remove, with unused only of segments that nobody is attached to: used are the others.
func remove(c Creator, unused bool) (removed, used int, err error) {
	ids, err := private(c)
	if err != nil {
		return 0, 0, err
	}
	var errs []error
	for _, id := range ids {
		// The number may be another segment's by now.
		var desc unix.SysvShmDesc
		if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &desc); err != nil || !made(&desc, c) {
			continue
		}
		if unused && desc.Nattch > 0 {
			used++
			continue
		}
		_, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EIDRM) {
			continue // somebody else has removed it
		}
		if err != nil { // without CAP_SYS_ADMIN another user's can't be
			errs = append(errs, fmt.Errorf("removing segment %d of process %d: %w", id, c.PID, err))
			continue
		}
		removed++
	}
	return removed, used, errors.Join(errs...)
}

// made reports whether c has created a segment. Its times are whole seconds.
func made(desc *unix.SysvShmDesc, c Creator) bool {
	return int(desc.Cpid) == c.PID && desc.Perm.Cuid == c.UID && desc.Perm.Uid == c.UID && desc.Perm.Key == 0 && int64(desc.Ctime) >= c.Since.Unix()
}

// private lists the segments in question, of /proc/sysvipc/shm (proc(5)).
func private(c Creator) (ids []int, err error) {
	table, err := os.ReadFile("/proc/sysvipc/shm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without System V shared memory
	}
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		f := strings.Fields(lines.Text()) // key shmid perms size cpid …
		if len(f) < 5 || f[0] != "0" || f[4] != strconv.Itoa(c.PID) {
			continue
		}
		if id, err := strconv.Atoi(f[1]); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// A Ledger is a folder that remembers the running children, so that the next daemon can
// remove what they have left when this one was killed. The empty Ledger remembers nothing.
type Ledger string

// Add remembers c. It makes the folder, which is its owner's alone.
func (l Ledger) Add(c Creator) error {
	if l == "" {
		return nil
	}
	if err := os.MkdirAll(string(l), 0o700); err != nil {
		return err
	}
	line := fmt.Sprintf("%d %d\n", c.UID, c.Since.Unix())
	if err := os.WriteFile(l.file(c.PID), []byte(line), 0o600); err != nil {
		return err
	}
	return nil
}

// Clear is [Remove], after which c is forgotten. What can't be removed is an error, and stays remembered for
// Sweep.
func (l Ledger) Clear(c Creator) error {
	if _, err := Remove(c); err != nil {
		return err
	}
	if l != "" {
		_ = os.Remove(l.file(c.PID))
	}
	return nil
}

func (l Ledger) file(pid int) string { return filepath.Join(string(l), strconv.Itoa(pid)) }

// Sweep removes what the children of an earlier daemon have left, if they are dead and
// nobody is attached to it, and forgets those of whom nothing is left. It returns how many segments it
// removed.
func (l Ledger) Sweep() (removed int, err error) {
	if l == "" {
		return 0, nil
	}
	entries, err := os.ReadDir(string(l))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, e := range entries {
		c, ok := l.read(e.Name())
		if ok && !errors.Is(unix.Kill(c.PID, 0), unix.ESRCH) {
			continue // alive, or the number is another's: then it isn't known whose the segments are
		}
		if ok {
			n, used, err := remove(c, true)
			removed += n
			errs = append(errs, err)
			if used > 0 || err != nil {
				continue
			}
		}
		_ = os.Remove(filepath.Join(string(l), e.Name()))
	}
	return removed, errors.Join(errs...)
}

// read is an entry; what isn't one of Add's is none.
func (l Ledger) read(name string) (c Creator, ok bool) {
	pid, err := strconv.Atoi(name)
	if err != nil || pid <= 0 {
		return c, false
	}
	data, err := os.ReadFile(l.file(pid))
	if err != nil {
		return c, false
	}
	var since int64
	if _, err := fmt.Sscanf(string(data), "%d %d\n", &c.UID, &since); err != nil {
		return c, false
	}
	c.PID, c.Since = pid, time.Unix(since, 0)
	return c, true
}
