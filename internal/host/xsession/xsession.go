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
//	found, err := host.Look(ctx, xsession.Session{Leader: 1234, UID: 1000, User: "alice", Home: "/home/alice"})
//
// Looking at a user's processes and files takes [LookTime] in all, whatever that user does: he can make
// his own display unknown, and nobody else's.
//
// What it finds is a hint, partly from the session's user: whoever uses it
// does so with that user's rights only, and looks at who owns the X server.
package xsession

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
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

// A Host is the processes of a moment. It is safe for concurrent use.
type Host struct {
	root     string
	children map[int][]int
	servers  map[uint32][]server // by the user who has started them

	mu     sync.Mutex
	purses map[uint32]*purse // by user
}

// A server is a process that looks like an X server.
type server struct {
	pid       int
	effective uint32 // the user it runs as
}

// IsDisplay reports whether s names a display of this host, ":1" or ":1.0".
func IsDisplay(s string) bool { return displayPattern.MatchString(s) }

var displayPattern = regexp.MustCompile(`^:[0-9]{1,5}(\.[0-9]{1,2})?$`)

// Scan looks at the processes of the host whose files are under root: "/" is
// this one.
func Scan(root string) (*Host, error) {
	entries, err := os.ReadDir(filepath.Join(root, "proc"))
	if err != nil {
		return nil, err
	}
	h := &Host{root: root, children: map[int][]int{}, servers: map[uint32][]server{}, purses: map[uint32]*purse{}}
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
			if real, effective, ok := h.users(pid); ok {
				h.servers[real] = append(h.servers[real], server{pid, effective})
			}
		}
	}
	return h, nil
}

// tree lists a process and its descendants, nearest first.
func (h *Host) tree(leader int) []int {
	if leader <= 1 {
		return nil // 1 would be everything
	}
	tree := []int{leader}
	for i := 0; i < len(tree) && len(tree) < maxTree; i++ {
		children := h.children[tree[i]]
		tree = append(tree, children[:min(len(children), maxTree-len(tree))]...)
	}
	return tree
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

// sameDisplay compares displays without their screens.
func sameDisplay(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return a == b
}
