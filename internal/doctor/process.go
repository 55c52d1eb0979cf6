package doctor

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// daemonPID is the process at the other end of the control socket, or 0.
func (d *Doctor) daemonPID() int {
	conn, err := net.DialTimeout("unix", d.socket(), time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	var cred *unix.Ucred
	_ = raw.Control(func(fd uintptr) { cred, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if cred == nil {
		return 0
	}
	return int(cred.Pid)
}

// daemonProgram is the running daemon's executable, or "" if it can't be seen.
func (d *Doctor) daemonProgram() (os.FileMode, string) {
	link := fmt.Sprintf("/proc/%d/exe", d.daemonPID())
	path, err := os.Readlink(link)
	if err != nil {
		return 0, ""
	}
	info, err := os.Stat(link)
	if err != nil {
		return 0, ""
	}
	return info.Mode(), path
}

// changedSinceStart reports whether a file is surely newer than the daemon's
// start.
func (d *Doctor) changedSinceStart(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	started, ok := d.started(d.daemonPID())
	return ok && info.ModTime().After(started.Add(time.Second)) // the clock's grain
}

// started is when a process started (proc_pid_stat(5), proc_stat(5)).
func (d *Doctor) started(pid int) (time.Time, bool) {
	const ticks = 100 // USER_HZ, in every Linux that there is
	stat, err := os.ReadFile(d.file(fmt.Sprintf("/proc/%d/stat", pid)))
	if err != nil {
		return time.Time{}, false
	}
	// Behind the name, which may hold anything, come the fields from the third on.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return time.Time{}, false
	}
	since, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	system, err := os.ReadFile(d.file("/proc/stat"))
	if err != nil {
		return time.Time{}, false
	}
	for line := range strings.Lines(string(system)) {
		if text, ok := strings.CutPrefix(line, "btime "); ok {
			boot, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return time.Unix(boot, 0).Add(time.Duration(since) * time.Second / ticks), err == nil
		}
	}
	return time.Time{}, false
}
