package doctor

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/peer"
)

// daemonPID is the process at the other end of the control socket, or 0.
func (d *Doctor) daemonPID() int {
	conn, err := net.DialTimeout("unix", d.socket(), time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	who, err := peer.Of(conn.(*net.UnixConn))
	if err != nil {
		return 0
	}
	return int(who.Pid)
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

// daemonCredentials is the directory that systemd gave the daemon for its
// credentials (systemd.exec(5)); "" if it has none, or none can be known.
func (d *Doctor) daemonCredentials() (string, error) {
	environ, err := os.ReadFile(d.file(fmt.Sprintf("/proc/%d/environ", d.daemonPID())))
	for variable := range strings.SplitSeq(string(environ), "\x00") {
		if dir, ok := strings.CutPrefix(variable, "CREDENTIALS_DIRECTORY="); ok {
			return dir, nil
		}
	}
	return "", err
}
