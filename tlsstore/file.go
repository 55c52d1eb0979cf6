package tlsstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxFile  = 1 << 20 // bytes; a chain of certificates is a few thousand
	maxLinks = 40      // symbolic links on the way to a file, as the kernel allows
)

// A file is what was read, and who had access to it at that time.
type file struct {
	path string // as it was asked for
	what string // "certificate", "key" or "passphrase"
	data []byte
	stat unix.Stat_t
}

// An identity is whom a process reads files as.
type identity struct {
	uid    uint32
	groups []uint32 // all of them
}

func self() identity {
	me := identity{uid: uint32(os.Geteuid()), groups: []uint32{uint32(os.Getegid())}}
	groups, _ := os.Getgroups() // without them fewer keys are accepted
	for _, g := range groups {
		me.groups = append(me.groups, uint32(g))
	}
	return me
}

// open reads the file of path, if nobody but root and me can have had a hand
// in it.
func (me identity) open(path, what string) (*file, error) {
	real, err := me.resolve(path)
	var le *LoadError
	if errors.As(err, &le) {
		return nil, err
	}
	if err != nil {
		return nil, me.unreadable(path, what, err)
	}
	// Nobody else can change a directory on the way, so the path is still
	// what it was; a pipe or device must not make us wait.
	f, err := os.OpenFile(real, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, me.unreadable(path, what, err)
	}
	defer f.Close()

	r := &file{path: path, what: what}
	if err := unix.Fstat(int(f.Fd()), &r.stat); err != nil {
		return nil, me.unreadable(path, what, err)
	}
	if r.stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, refuse(Unreadable, nil, fmt.Sprintf("the %s %s isn't a regular file", what, path), "put a file there")
	}
	if err := me.checkOwner(r); err != nil {
		return nil, err
	}
	r.data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, me.unreadable(path, what, err)
	}
	if len(r.data) > maxFile {
		return nil, refuse(Unreadable, nil, fmt.Sprintf("the %s %s is larger than 1 MiB", what, path), "put the "+what+" there")
	}
	return r, nil
}

// resolve follows the symbolic links of an absolute path and checks every
// directory and link on the way. A refusal is a *LoadError, all else an error
// of the system.
func (me identity) resolve(path string) (string, error) {
	at, links := "/", 0
	todo := strings.Split(path, "/")
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		next := filepath.Join(at, name)
		var st unix.Stat_t
		if err := unix.Lstat(next, &st); err != nil {
			return "", err
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			if links++; links > maxLinks {
				return "", unix.ELOOP
			}
			if !me.trusts(st.Uid) {
				return "", me.badOwner("symbolic link", next, st.Uid, "chown -h root:root "+quote(next))
			}
			target, err := os.Readlink(next)
			if err != nil {
				return "", err
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			todo = append(strings.Split(target, "/"), todo...)
		case unix.S_IFDIR:
			if err := me.checkDir(next, &st, st.Mode&unix.S_ISVTX != 0); err != nil {
				return "", err
			}
			at = next
		default:
			if len(todo) > 0 {
				return "", unix.ENOTDIR
			}
			// Where the file itself lies the sticky bit is no excuse.
			if err := unix.Lstat(at, &st); err != nil {
				return "", err
			}
			return next, me.checkDir(at, &st, false)
		}
	}
	return at, nil // a directory; open refuses it
}

// trusts reports whether what belongs to uid can be relied on.
func (me identity) trusts(uid uint32) bool { return uid == 0 || uid == me.uid }

// checkDir checks that others can't change what is in a directory. In a sticky
// one they can't change what isn't theirs.
func (me identity) checkDir(path string, st *unix.Stat_t, sticky bool) error {
	if !me.trusts(st.Uid) {
		return me.badOwner("directory", path, st.Uid, "chown root:root "+quote(path))
	}
	if st.Mode&0o022 != 0 && !sticky {
		return refuse(BadMode, nil, fmt.Sprintf("others can write to the directory %s (mode %04o)", path, st.Mode&0o7777),
			"run: chmod go-w "+quote(path))
	}
	return nil
}

// checkOwner checks that others can't change the file.
func (me identity) checkOwner(f *file) error {
	// Not more: there may be a key beside the certificate.
	fix := "chown root:root " + quote(f.path) + " && chmod go-w " + quote(f.path)
	if f.what != "certificate" {
		fix = me.keyFix(f.path)
	}
	if !me.trusts(f.stat.Uid) {
		return me.badOwner(f.what, f.path, f.stat.Uid, fix)
	}
	if f.stat.Mode&0o022 != 0 {
		return refuse(BadMode, nil, fmt.Sprintf("others can write to the %s %s (mode %04o)", f.what, f.path, f.stat.Mode&0o7777),
			"run: chmod go-w "+quote(f.path))
	}
	return nil
}

// checkSecret checks that others can't read the key or passphrase in f, which
// checkOwner has passed: 0600 at most; one of root's may be 0640 if the group
// is root's or one of mine.
func (me identity) checkSecret(f *file) error {
	mode := uint32(f.stat.Mode) & 0o7777 // 16 bits on some systems
	allowed := uint32(0o600)
	group := f.stat.Gid == 0 || slices.Contains(me.groups, f.stat.Gid)
	if f.stat.Uid == 0 && group {
		allowed = 0o640
	}
	if mode&0o077&^allowed == 0 {
		return nil
	}
	who := "others"
	if mode&0o007 == 0 {
		who = fmt.Sprintf("the group with gid %d", f.stat.Gid)
	}
	fix := "chmod 600 " + quote(f.path)
	if f.stat.Uid != me.uid {
		fix = me.keyFix(f.path)
	}
	what := "private key"
	if f.what == "passphrase" {
		what = f.what
	}
	return refuse(BadMode, nil, fmt.Sprintf("%s can use the %s in %s (mode %04o)", who, what, f.path, mode), "run: "+fix)
}

// keyFix is the command that makes a key root's, readable by me alone.
func (me identity) keyFix(path string) string {
	if me.uid == 0 {
		return fmt.Sprintf("chown root:root %[1]s && chmod 600 %[1]s", quote(path))
	}
	return fmt.Sprintf("chown root:%[2]d %[1]s && chmod 640 %[1]s", quote(path), me.groups[0])
}

func (me identity) badOwner(what, path string, uid uint32, fix string) error {
	return refuse(BadOwner, nil, fmt.Sprintf("the %s %s belongs to uid %d, not to root%s", what, path, uid, me.orMe()), "run: "+fix)
}

func (me identity) orMe() string {
	if me.uid == 0 {
		return ""
	}
	return fmt.Sprintf(" or uid %d, as which this program runs", me.uid)
}

func (me identity) unreadable(path, what string, err error) error {
	remedy := "put the " + what + " there"
	if errors.Is(err, fs.ErrPermission) {
		remedy = "run: " + me.keyFix(path) // of a certificate as well: there may be a key beside it
	}
	return refuse(Unreadable, err, fmt.Sprintf("the %s %s can't be read by uid %d: %v", what, path, me.uid, reason(err)), remedy)
}

// reason is err without the path, which the sentence names already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// quote makes path safe to paste into a shell.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@:,", r)
	}
	if path != "" && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
