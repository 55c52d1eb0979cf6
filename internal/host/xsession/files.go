package xsession

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// wellKnown looks for the cookie's file where X servers and login managers put
// it. Only a file that the user can read is of use.
func (l *look) wellKnown(display string) string {
	candidates := l.arguments(0, display)
	if l.s.UID != 0 {
		candidates = append(candidates, l.arguments(l.s.UID, display)...)
	}
	run := "/run/user/" + strconv.FormatUint(uint64(l.s.UID), 10)
	if l.s.Home != "" {
		candidates = append(candidates, l.s.Home+"/.Xauthority")
	}
	candidates = append(candidates, run+"/gdm/Xauthority", run+"/Xauthority", "/run/lightdm/"+l.s.User+"/xauthority")
	for _, dir := range []string{run, "/run/sddm"} {
		found, _ := within(l, l.s.UID, func() []string { return cookies(filepath.Join(l.host.root, dir)) })
		for _, name := range found {
			candidates = append(candidates, dir+"/"+name)
		}
	}
	hidden := ""
	for _, path := range candidates {
		if !filepath.IsAbs(path) {
			continue
		}
		err := l.readable(path)
		if err == nil {
			return path
		}
		closed := errors.Is(err, fs.ErrPermission) || errors.Is(err, errHangs) && path == l.s.Home+"/.Xauthority"
		if closed && hidden == "" {
			hidden = path
		}
	}
	return hidden // which the user's own process may see
}

// maxNames is how many names of a folder are read: users put as many as they like into their own.
const maxNames = 2048

// cookies are the names that sddm and Plasma give to cookies' files, of those in a folder that are read.
func cookies(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxNames) // what was read before an error, too
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "xauth_") })
	slices.Sort(names)
	return names
}

// arguments are the files that the X servers of a display were given for their cookies, of those servers that
// uid has started. Anybody may run a program of such a name, a setuid one too, with any arguments: only
// root's count, and the session's user's.
func (l *look) arguments(uid uint32, display string) (files []string) {
	for _, x := range l.host.servers[uid] {
		if l.left() <= 0 {
			break
		}
		if x.effective != 0 && x.effective != l.s.UID {
			continue
		}
		data, _ := within(l, uid, func() []byte { return l.host.read(x.pid, "cmdline") })
		args := strings.Split(string(data), "\x00")
		auth := slices.Index(args, "-auth")
		if auth >= 0 && auth+1 < len(args) && slices.ContainsFunc(args, func(a string) bool { return sameDisplay(a, display) }) {
			files = append(files, args[auth+1])
		}
	}
	return files
}

// stat is os.Stat, but in tests.
var stat = os.Stat

var (
	errHangs      = errors.New("the file can't be looked at in time")
	errUnreadable = errors.New("the file is not one that the user can read")
)

// readable reports whether path is a file that the user can read by its owner
// and mode. It isn't opened: that is for somebody with the user's rights. It may be that this can't be
// told: a home may be closed to root ([fs.ErrPermission]), as one of NFS is, or hang (errHangs).
func (l *look) readable(path string) error {
	type answer struct {
		info fs.FileInfo
		err  error
	}
	a, ok := within(l, l.s.UID, func() (a answer) {
		a.info, a.err = stat(filepath.Join(l.host.root, path))
		return a
	})
	switch {
	case !ok:
		return errHangs
	case a.err != nil:
		return a.err
	case !a.info.Mode().IsRegular():
		return errUnreadable
	}
	owner, ok := ownerOf(a.info)
	if ok && owner == l.s.UID && a.info.Mode()&0o400 != 0 || a.info.Mode()&0o004 != 0 {
		return nil
	}
	return errUnreadable
}

func ownerOf(info fs.FileInfo) (uint32, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}
