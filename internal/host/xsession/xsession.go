// Package xsession finds the X display of a login session, and the file with
// the display's cookie, where the session manager doesn't know them: in the
// environment of the session's processes, on the X server's command line, and
// in the places where login managers put such files. It also finds the
// session's language and D-Bus bus.
//
//	host, err := xsession.Scan("/")
//	if err != nil {
//		return err
//	}
//	display, xauthority := host.Find(xsession.Session{Leader: 1234, UID: 1000, User: "alice", Home: "/home/alice"})
//
// What it finds is a hint, partly from the session's user: whoever uses it
// does so with that user's rights only, and looks at who owns the X server.
package xsession

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	maxProcFile = 1 << 20 // bytes read of one file
	maxTree     = 4096    // processes of one session that are looked at
)

// A Session is what is known of a login session.
type Session struct {
	Leader  int    // process that opened it; 0: not known
	UID     uint32 // its user
	User    string // account name
	Home    string // home directory; empty: not known
	Display string // X display; empty: to be found
}

// A Host is the processes of a moment.
type Host struct {
	root     string
	children map[int][]int
	servers  []int // processes that look like X servers
}

// IsDisplay reports whether s names a display of this host, ":1" or ":1.0".
func IsDisplay(s string) bool { return displayPattern.MatchString(s) }

var displayPattern = regexp.MustCompile(`^:[0-9]{1,5}(\.[0-9]{1,2})?$`)

// Scan looks at the processes of the host whose files are under root: "/" is
// this one.
func Scan(root string) (*Host, error) {
	entries, err := os.ReadDir(filepath.Join(root, "proc"))
	if err != nil {
		return nil, fmt.Errorf("xsession: %w", err)
	}
	h := &Host{root: root, children: map[int][]int{}}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		name, parent, ok := parseStat(h.read(pid, "stat"))
		if !ok {
			continue // it has ended
		}
		h.children[parent] = append(h.children[parent], pid)
		if strings.HasPrefix(name, "X") {
			h.servers = append(h.servers, pid)
		}
	}
	return h, nil
}

// Find returns the session's display, and the file with its cookie. Either is
// empty if it can't be found; a display may need no cookie.
func (h *Host) Find(s Session) (display, xauthority string) {
	display = s.Display
	for _, pid := range h.tree(s.Leader) {
		if uid, ok := h.owner(pid); !ok || uid != s.UID {
			continue
		}
		d, x := environ(h.read(pid, "environ"))
		if !IsDisplay(d) || display != "" && !sameDisplay(d, display) {
			continue
		}
		display = d
		if filepath.IsAbs(x) {
			return display, x
		}
	}
	if display == "" {
		return "", ""
	}
	return display, h.wellKnown(s, display)
}

// tree lists a process and its descendants, nearest first.
func (h *Host) tree(leader int) []int {
	if leader <= 1 {
		return nil // 1 would be everything
	}
	tree := []int{leader}
	for i := 0; i < len(tree) && len(tree) < maxTree; i++ {
		tree = append(tree, h.children[tree[i]]...)
	}
	return tree
}

// wellKnown looks for the cookie's file where X servers and login managers put
// it. Only a file that the user can read is of use.
func (h *Host) wellKnown(s Session, display string) string {
	var candidates []string
	for _, pid := range h.servers {
		// Anybody may run a program of that name, a setuid one too, with any arguments.
		if real, effective, ok := h.users(pid); !ok || real != 0 && real != s.UID || effective != 0 && effective != s.UID {
			continue
		}
		args := strings.Split(string(h.read(pid, "cmdline")), "\x00")
		auth := slices.Index(args, "-auth")
		if auth < 0 || auth+1 >= len(args) || !slices.ContainsFunc(args, func(a string) bool { return sameDisplay(a, display) }) {
			continue
		}
		candidates = append(candidates, args[auth+1])
	}
	run := "/run/user/" + strconv.FormatUint(uint64(s.UID), 10)
	if s.Home != "" {
		candidates = append(candidates, s.Home+"/.Xauthority")
	}
	candidates = append(candidates, run+"/gdm/Xauthority", run+"/Xauthority", "/run/lightdm/"+s.User+"/xauthority")
	for _, pattern := range []string{run + "/xauth_*", "/run/sddm/xauth_*"} {
		found, _ := filepath.Glob(filepath.Join(h.root, pattern)) // the patterns are good
		for _, path := range found {
			candidates = append(candidates, "/"+strings.TrimPrefix(strings.TrimPrefix(path, h.root), "/"))
		}
	}
	hidden := ""
	for _, path := range candidates {
		if !filepath.IsAbs(path) {
			continue
		}
		readable, known := h.readable(path, s.UID)
		if readable {
			return path
		}
		if !known && hidden == "" {
			hidden = path
		}
	}
	return hidden // which the user's own process may see
}

// readable reports whether path is a file that the user can read by its owner
// and mode. It isn't opened: that is for somebody with the user's rights. known is
// whether that can be told: a home may be closed to root, as one of NFS is.
func (h *Host) readable(path string, uid uint32) (readable, known bool) {
	info, err := os.Stat(filepath.Join(h.root, path))
	if err != nil {
		return false, !errors.Is(err, fs.ErrPermission)
	}
	if !info.Mode().IsRegular() {
		return false, true
	}
	owner, ok := ownerOf(info)
	return ok && owner == uid && info.Mode()&0o400 != 0 || info.Mode()&0o004 != 0, true
}

// owner is the user a process runs as.
func (h *Host) owner(pid int) (uid uint32, ok bool) {
	_, uid, ok = h.users(pid)
	return uid, ok
}

// users are the user who has started a process and the one it runs as. Its directory under
// /proc doesn't tell: a process that isn't dumpable, as anybody may make his, has root for
// the owner of its own.
func (h *Host) users(pid int) (real, effective uint32, ok bool) {
	for line := range strings.Lines(string(h.read(pid, "status"))) {
		ids, found := strings.CutPrefix(line, "Uid:")
		if !found {
			continue
		}
		f := strings.Fields(ids) // real, effective, saved, file system
		if len(f) != 4 {
			return 0, 0, false
		}
		r, realErr := strconv.ParseUint(f[0], 10, 32)
		e, effectiveErr := strconv.ParseUint(f[1], 10, 32)
		return uint32(r), uint32(e), realErr == nil && effectiveErr == nil
	}
	return 0, 0, false
}

func ownerOf(info fs.FileInfo) (uint32, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}

// read returns a file of a process, or nothing.
func (h *Host) read(pid int, name string) []byte {
	return readFile(filepath.Join(h.root, "proc", strconv.Itoa(pid), name))
}

// parseStat takes name and parent out of /proc/PID/stat, proc_pid_stat(5). The
// name is in parentheses and may itself contain some.
func parseStat(stat []byte) (name string, parent int, ok bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0, false
	}
	f := strings.Fields(string(stat[end+1:]))
	if len(f) < 2 {
		return "", 0, false
	}
	parent, err := strconv.Atoi(f[1])
	return string(stat[open+1 : end]), parent, err == nil
}

// environ takes DISPLAY and XAUTHORITY out of /proc/PID/environ.
func environ(data []byte) (display, xauthority string) {
	for v := range strings.SplitSeq(string(data), "\x00") {
		if value, ok := strings.CutPrefix(v, "DISPLAY="); ok {
			display = value
		} else if value, ok := strings.CutPrefix(v, "XAUTHORITY="); ok {
			xauthority = value
		}
	}
	return display, xauthority
}

// sameDisplay compares displays without their screens.
func sameDisplay(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return a == b
}
