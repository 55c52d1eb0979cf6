package bus

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
)

// The gate's commands come in by a socket in a folder that nobody else may enter: who connects there is root or the gate's
// account, and so is who listens. A port of the loopback interface is anybody's while the gate is down.
const (
	socketDir  = "commands"
	socketName = "bus"
	socketTime = 10 * time.Second
)

// listenPrivately makes the socket.
func listenPrivately(dir string) (net.Listener, error) {
	folder := filepath.Join(dir, socketDir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(folder, socketName)); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var l net.Listener
	err := inFolder(folder, func(path string) (err error) {
		l, err = net.Listen("unix", path)
		return err
	})
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its path may be of the moment
	}
	return l, err
}

// inFolder gives do a path of the socket that is short enough for the kernel.
func inFolder(folder string, do func(string) error) error {
	if path := filepath.Join(folder, socketName); len(path) < 100 {
		return do(path)
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketName))
}

// A privately dials the socket of a gate on this machine.
type privately struct{ dir string }

func (p privately) Dial(string, string) (conn net.Conn, err error) {
	folder := filepath.Join(p.dir, socketDir)
	info, err := os.Lstat(folder)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s isn't a folder that is the gate's alone", folder)
	}
	err = inFolder(folder, func(path string) (err error) {
		conn, err = net.DialTimeout("unix", path, socketTime)
		return err
	})
	return conn, err
}

// private are the options for the gate of this machine that keeps its state in dir.
func private(dir string) []nats.Option {
	return []nats.Option{nats.SetCustomDialer(privately{dir})}
}
