package wrap

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/peer"
)

// Verify reports whether conn, a connection to where the program listens, may be the program's: that it is served by
// root, by this process's user, or by one as which a process of the program's runs. Before, nothing may be sent to it. The
// error is [ErrForeign], or that it can't be told. On other systems than Linux there is no error.
func (p *Program) Verify(conn net.Conn) error {
	uids, err := p.servedBy(conn)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if uid != 0 && uid != uint32(os.Geteuid()) && !slices.Contains(p.users(), uid) {
			return foreign(conn, uid)
		}
	}
	return nil
}

func (p *Program) servedBy(conn net.Conn) ([]uint32, error) {
	if c, ok := conn.(*net.UnixConn); ok {
		uid, err := peer.UID(c)
		return []uint32{uid}, err
	}
	return serverOf(conn)
}

// users is as whom the program runs now: the process that was started, and its descendants.
func (p *Program) users() (uids []uint32) {
	first := p.pid.Load()
	if first == 0 {
		return nil
	}
	all := processes()
	for pid := range all {
		if descends(all, pid, int(first)) {
			uids = append(uids, all[pid].uids...)
		}
	}
	if p.pid.Load() != first { // its number may have been another's
		return nil
	}
	return uids
}

// A process is what /proc has of one.
type process struct {
	parent int
	start  uint64   // when, in clock ticks
	uids   []uint32 // real, effective, saved and of files
}

// descends reports whether pid is ancestor, or descends from it. A parent that is younger than its child isn't it, but has
// its number.
func descends(all map[int]process, pid, ancestor int) bool {
	for range len(all) {
		if pid == ancestor {
			return true
		}
		child, ok1 := all[pid]
		parent, ok2 := all[child.parent]
		if !ok1 || !ok2 || parent.start > child.start {
			return false
		}
		pid = child.parent
	}
	return false
}

func processes() map[int]process {
	all := map[int]process{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if pr, ok := readProcess(e.Name()); ok {
			all[pid] = pr
		}
	}
	return all
}

// readProcess reads both files through one descriptor, which is the process's whatever becomes of its number (proc(5)).
func readProcess(pid string) (pr process, ok bool) {
	dir, err := os.OpenRoot("/proc/" + pid)
	if err != nil {
		return pr, false
	}
	defer dir.Close()
	stat, err1 := dir.ReadFile("stat")
	status, err2 := dir.ReadFile("status")
	if err1 != nil || err2 != nil {
		return pr, false
	}
	return parseProcess(string(stat), string(status))
}

// parseProcess reads the parent and the start of stat, behind the name, which may have anything in it, and the users of status.
func parseProcess(stat, status string) (pr process, ok bool) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	_, uids, found := strings.Cut(status, "\nUid:")
	if len(fields) < 20 || !found {
		return pr, false
	}
	var err1, err2 error
	pr.parent, err1 = strconv.Atoi(fields[1])
	pr.start, err2 = strconv.ParseUint(fields[19], 10, 64)
	uids, _, _ = strings.Cut(uids, "\n")
	for _, text := range strings.Fields(uids) {
		uid, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return pr, false
		}
		pr.uids = append(pr.uids, uint32(uid))
	}
	return pr, err1 == nil && err2 == nil
}

// awaitExit waits until a child has ended, and leaves it its number.
func awaitExit(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
