// Package strict judges files that this process obeys, as sshd's StrictModes does:
// whoever else could change one could do whatever this process may.
//
//	if err := strict.Check("/etc/xdl/shadowing.toml"); err != nil {
//		return err
//	}
package strict

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks bounds the symbolic links on the way to a file.
const maxLinks = 40

// Check reports what is wrong with the file or directory at path, which must be
// absolute: it, and each directory on the way to it, symbolic links included, must be
// root's or this process's own user's, and writable by nobody else. A directory in which
// everybody may write, but nobody may touch what is another's (/tmp), may be on the way.
// A file that isn't there is an error that wraps [fs.ErrNotExist].
func Check(path string) error { return check(path, uint32(os.Geteuid())) }

func check(path string, own uint32) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q isn't an absolute path", path)
	}
	if err := judge("/", own); err != nil {
		return err
	}
	at, rest, links := "/", strings.Split(filepath.Clean(path), "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		if err := judge(next, own); err != nil {
			return err
		}
		target, err := os.Readlink(next)
		if err != nil { // no link
			at = next
			continue
		}
		if links++; links > maxLinks {
			return fmt.Errorf("%s: too many symbolic links", path)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// judge looks at one file, directory or link.
func judge(path string, own uint32) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("this system doesn't say whose a file is")
	}
	switch mode := info.Mode(); {
	case st.Uid != 0 && st.Uid != own:
		return fmt.Errorf("%s belongs to uid %d, who could change it: let root own it", path, st.Uid)
	case mode&fs.ModeSymlink != 0: // its mode says nothing
	case mode.IsDir() && mode&fs.ModeSticky != 0:
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s is writable by others than its owner (mode %04o): do chmod go-w %s", path, mode.Perm(), path)
	}
	return nil
}
