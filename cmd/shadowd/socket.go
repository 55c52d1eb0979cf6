package main

import (
	"errors"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/api/server"
)

// controlSocket is the control socket. If systemd has passed it (sd_listen_fds(3)), because it kept
// it while shadowd was started anew, or because the site has a unit for it, that one is taken.
// Otherwise it is made, and systemd is given it to keep (FileDescriptorStoreMax= of the unit).
func controlSocket(path, group string) (*server.Listener, error) {
	for i, f := range activation.Files(true) {
		if i > 0 {
			_ = f.Close()
			continue
		}
		ln, err := server.Adopt(f, path, group)
		if err == nil {
			return ln, nil
		}
		// It is at another path, or its file is gone: systemd is to forget it.
		if _, e := notify("FDSTOREREMOVE=1\nFDNAME=control"); e != nil {
			return nil, errors.Join(err, e)
		}
	}
	ln, err := server.Listen(path, group)
	if err != nil {
		return nil, err
	}
	keep := func(fd uintptr) error {
		sent, err := notify("FDSTORE=1\nFDNAME=control", int(fd))
		if err == nil && !sent {
			err = errors.New("nobody keeps it")
		}
		return err
	}
	_ = ln.Keep(keep) // without that a restart refuses who connects meanwhile
	return ln, nil
}

// notify tells systemd something (sd_notify(3)), with descriptors, which it copies. It reports
// whether there is a systemd that wants to know.
func notify(state string, descriptors ...int) (sent bool, err error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return false, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	var rights []byte
	if len(descriptors) > 0 {
		rights = unix.UnixRights(descriptors...)
	}
	err = unix.Sendmsg(fd, []byte(state), rights, &unix.SockaddrUnix{Name: name}, unix.MSG_DONTWAIT)
	return err == nil, err
}
